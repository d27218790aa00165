"""dnsmasq's command line and files, as it comes to them: where a zone is forwarded, and what it answers itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import Sections
from siteproof.probes.names.forms import in_one_form, is_in
from siteproof.probes.names.forwarding import Forwarding

DOMAINS = "server local address"
"""Settings that are of a domain each, of which some have a hundred thousand."""
SETTINGS = (
    "conf-file conf-dir conf-script servers-file addn-hosts hostsdir no-hosts expand-hosts domain dhcp-range "
    "dhcp-leasefile host-record cname interface-name dynamic-host auth-zone"
)
_SHORT = {"S": "server", "A": "address", "C": "conf-file", "7": "conf-dir", "H": "addn-hosts", "h": "no-hosts"}
_SHORT |= {"E": "expand-hosts", "s": "domain", "F": "dhcp-range", "l": "dhcp-leasefile"}
_SHORT_WITH_VALUE = "rmpclsituagxSCATHQIBFGOMXVUjPJWY2467803"
"""Of getopt's own list in option.c, from 2.85 to 2.93."""
_GRACE_S = 1


def options_of(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a command line sets, as a configuration file would. Raises Unparseable for what is no option of dnsmasq."""
    words = list(arguments[1:])
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            # dnsmasq takes nothing that is neither an option nor the value of one.
            if not equals and words and not words[0].startswith("-"):
                value = words.pop(0)
            yield name, value
        elif word.startswith("-") and word != "-":
            rest = word[1:]
            while rest:
                letter, rest = rest[0], rest[1:]
                value = ""
                if letter in _SHORT_WITH_VALUE:
                    if not rest and not words:
                        raise Unparseable(f"dnsmasq's command line ends amid -{letter}")
                    value, rest = (rest or words.pop(0)), ""
                if letter in _SHORT:
                    yield _SHORT[letter], value
        elif word:
            raise Unparseable(f"not a command line of dnsmasq: {word[:100]!r}")


def _line(text: str) -> str:
    """A line of a configuration without its comment and its quotation marks, as dnsmasq reads it."""
    found, blank, quoted = "", True, False
    for letter in text:
        if letter == '"':
            quoted = not quoted
            blank = False
        elif letter == "#" and blank and not quoted:
            break
        else:
            if quoted and letter == "\\":
                raise Unparseable(f"dnsmasq's configuration has an escape that is not read here: {text[:200]!r}")
            found += letter
            blank = letter.isspace() and not quoted
    return found.strip()


@dataclass
class _Reader:
    """What the files say, as dnsmasq comes to them."""

    sections: Sections
    zone: str
    started: float
    servers: set[Address] = field(default_factory=set)
    has_own_entry: bool = False
    beside: list[str] = field(default_factory=list)
    """Of the zone's own name, what keeps it from being forwarded if it wins."""
    hiding: dict[str, str] = field(default_factory=dict)
    records: dict[str, dict[str, None]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=lambda: ["/etc/hosts"])
    leases: str = "/var/lib/misc/dnsmasq.leases"
    gives_leases: bool = False
    expands: bool = False
    domains: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def text(self, kind: str, path: str) -> tuple[float, list[str]]:
        """When a file was changed last, and its lines. Raises NoControl where it could not be read."""
        if f"closed {path}" in self.sections:
            raise NoControl(f"dnsmasq reads {path}, and the login user may not")
        first, *lines = self.sections[f"{kind} {path}"].split("\n")
        if not re.fullmatch(r"\d{9,11} \d{9,11}", first):
            raise Unparseable(f"it is not told when {path} was changed: {first[:100]!r}")
        return max(map(float, first.split())), lines

    def newer(self, changed: float) -> bool:
        return changed > self.started + _GRACE_S

    def must_be_older(self, path: str, changed: float) -> None:
        if self.newer(changed):
            raise NoControl(
                f"{path} was changed after dnsmasq was started, so that it need not be what runs: restart it"
            )

    def perhaps(self, path: str, changed: float) -> None:
        if self.newer(changed):
            self.doubts.append(
                f"{path} was changed after dnsmasq was started, and what it holds of the former one nobody knows: "
                "restart it"
            )

    def file(self, path: str, *, given: bool = True) -> None:
        """A configuration file."""
        if path in self.done:
            return
        self.done.add(path)
        if not given and f"nothing {path}" in self.sections:
            return
        self.is_absolute(path)
        changed, lines = self.text("settings", path)
        self.must_be_older(path, changed)
        self.options(lines)

    def options(self, lines: list[str]) -> None:
        for line in filter(None, map(_line, lines)):
            name, _, value = line.partition("=")
            self.option(name.strip(), value.strip())

    def is_absolute(self, path: str) -> None:
        if not path.startswith("/"):
            raise NoControl(f"dnsmasq reads {path or 'a file without a name'}, and nobody knows where that is")

    def directory(self, path: str) -> tuple[float, list[str]]:
        self.is_absolute(path)
        changed, names = self.text("directory", path)
        return changed, [n for n in names if n and not (n.endswith("~") or n.startswith(".") or n[0] + n[-1] == "##")]

    def option(self, name: str, value: str) -> None:
        match name:
            case "conf-file":
                self.file(value)
            case "conf-dir":
                path, *suffixes = value.split(",")
                wanted = [suffix[1:] for suffix in suffixes if suffix.startswith("*") and suffix != "*"]
                unwanted = [suffix for suffix in suffixes if suffix and not suffix.startswith("*")]
                changed, names = self.directory(path)
                self.must_be_older(path, changed)
                for entry in names:
                    if (not wanted or _ends(entry, wanted)) and not _ends(entry, unwanted):
                        self.file(f"{path}/{entry}")
            case "conf-script":
                raise NoControl(f"dnsmasq is configured by what {value} prints, which nobody can read later")
            case "servers-file":
                self.is_absolute(value)
                changed, lines = self.text("settings", value)
                self.perhaps(value, changed)
                self.options(lines)
            case "no-hosts":
                self.hosts = [path for path in self.hosts if path != "/etc/hosts"]
            case "addn-hosts" | "hostsdir":
                self.hosts.append(value)
            case "expand-hosts":
                self.expands = True
            case "domain":
                self.domains.append(in_one_form(value.partition(",")[0]))
            case "dhcp-range":
                self.gives_leases = True
            case "dhcp-leasefile":
                self.leases = value
            case "server" | "local" | "address":
                self.domain(name, value)
            case "host-record" | "cname" | "interface-name" | "dynamic-host":
                names = value.split(",")
                names = names[:-1] if name == "cname" else names[:1] if name != "host-record" else names
                for one in names:
                    self.record(one, f"{name}={value}")
            case "auth-zone":
                authoritative = in_one_form(value.partition(",")[0])
                if is_in(self.zone, authoritative) or is_in(authoritative, self.zone):
                    self.hiding[authoritative] = f"auth-zone={value}"

    def domain(self, name: str, value: str) -> None:
        """`server=/home.example/10.0.20.201#53@eth0`, `local=/home.example/`, `address=/home.example/10.0.20.1`."""
        if not value.startswith("/"):
            return
        *domains, target = value[1:].split("/")
        for spelt in domains:
            of = in_one_form(spelt.lstrip("."))
            if of.startswith("*"):
                if self.zone.endswith(of[1:]) or of[1:].endswith(f".{self.zone}"):
                    raise NoControl(f"what dnsmasq makes of a star is not told here: {name}={value}")
                continue
            # What is said of a longer name counts, so that nothing above the zone is of interest if it has an entry.
            if is_in(of, self.zone):
                self.entry(of, name, target, f"{name}={value}")

    def entry(self, of: str, name: str, target: str, line: str) -> None:
        address = _address(target)
        if name == "address" and address is not None and address.version == 6:
            self.remarks.append(f"dnsmasq has an IPv6 address of its own: {line}")
        elif name == "address" and target:
            self.hiding[of] = line
        elif not target or target == "#":
            if of == self.zone:
                self.beside.append(line)
            else:
                self.hiding[of] = line
        elif address is None:
            raise NoControl(f"dnsmasq forwards to what is no address: {line}")
        elif of == self.zone:
            self.has_own_entry = True
            self.servers.add(address)
        else:
            self.remarks.append(f"dnsmasq sends a part of the zone elsewhere: {line}")

    def record(self, name: str, line: str) -> None:
        if is_in(one := in_one_form(name.strip().removeprefix("*.")), self.zone):
            self.records.setdefault(one, {})[line] = None

    def read_hosts(self, path: str) -> None:
        self.is_absolute(path)
        if f"directory {path}" in self.sections:
            changed, names = self.directory(path)
            self.perhaps(path, changed)
            for name in names:
                self.read_hosts(f"{path}/{name}")
        elif f"nothing {path}" not in self.sections:
            changed, lines = self.text("hosts", path)
            self.perhaps(path, changed)
            for line in lines:
                address, *names = line.partition("#")[0].split() or [""]
                # As dnsmasq does, with a word in its log.
                if _address(address) is not None:
                    self.of_hosts(path, address, names, expand=self.expands)

    def of_hosts(self, path: str, address: str, names: list[str], *, expand: bool) -> None:
        said = f"{path}: {address} {' '.join(names)}"
        for name in names:
            self.record(name, said)
            if expand and "." not in name:
                for domain in self.domains:
                    if domain == "#":
                        self.doubts.append(f"the domain of {name} in {path} is what resolv.conf searched")
                    self.record(f"{name}.{domain}", said)

    def read_leases(self) -> None:
        if not self.gives_leases or f"nothing {self.leases}" in self.sections:
            return
        for line in filter(None, self.text("leases", self.leases)[1]):
            address, _, name = line.partition(" ")
            if _address(address) is None:
                raise Unparseable(f"not of a file of leases: {line[:100]!r}")
            if name not in ("", "*"):
                self.of_hosts(self.leases, address, [name], expand=True)


def _ends(name: str, suffixes: list[str]) -> bool:
    return any(name.endswith(suffix) and len(name) > len(suffix) for suffix in suffixes)


def _address(target: str) -> Address | None:
    try:
        return ip_address(target.partition("@")[0].partition("#")[0].partition("%")[0])
    except ValueError:
        return None


def configured(sections: Sections, arguments: Sequence[str], started: float, zone: str) -> Forwarding:
    """What a dnsmasq that was `started` then (seconds since the epoch) with these arguments does with `zone`.

    Raises NoControl where a file was changed since, could not be read, or decides in a way that is not read here.
    """
    reader = _Reader(sections, in_one_form(zone), started)
    given = list(options_of(arguments))
    for name, value in given:
        reader.option(name, value)
    if "conf-file" not in dict(given):
        reader.file("/etc/dnsmasq.conf", given=False)
    for path in reader.hosts:
        reader.read_hosts(path)
    reader.read_leases()
    if reader.has_own_entry:
        # Where it does, names have no answer any more, which is seen.
        said = "stands beside the forward, and it hangs on the version of dnsmasq whether it hides it"
        reader.remarks += [f"{line} {said}" for line in reader.beside]
    elif reader.beside:
        reader.hiding[reader.zone] = reader.beside[0]
    records: Mapping[str, tuple[str, ...]] = {name: tuple(lines) for name, lines in reader.records.items()}
    return Forwarding(
        frozenset(reader.servers) if reader.has_own_entry else None,
        reader.hiding,
        records,
        tuple(dict.fromkeys(reader.remarks)),
        reader.doubts[0] if reader.doubts else "",
    )
