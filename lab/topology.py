"""A site's topology as a pure model: read from sites/SITE/topology.toml, validated, every refusal one sentence that
names its key.

What differs between sites stands there, so that faults, readiness and templates need not know which site they are on:
its hosts by the roles that they play (`[roles]`), and its names and addresses by words (`[words]`).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from lab.build.wanted import Image, Wanted
from lab.errors import UsageError, nearest
from lab.paths import FIRST as FIRST
from lab.topology_host import BASE_SERVICES, NAME, Host, TopologyError, host_of, known_keys, network_of, sysctl_of

HERE = Path(__file__).parent
SITES = HERE / "sites"
DAEMONS = HERE / "daemons"
SITE_KEYS = ["segments", "sysctl", "hosts", "roles", "words", "login", "ready", "servers", "token_server", "images"]
REFERENCE = re.compile(r"@\{([^}]*)\}")
LOGIN = "siteproof"


@dataclass(frozen=True)
class Ready:
    """A shell command on a host that prints `wanted` once this part of the data path works."""

    host: str
    what: str
    command: str
    wanted: str


@dataclass(frozen=True)
class Topology:
    segments: Mapping[str, IPv4Network]
    hosts: Mapping[str, Host]
    site: str = FIRST
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a host is to the faults -> the hosts that are it."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What the site calls things, and where they are."""
    login: str = LOGIN
    """Who logs in where root does not."""
    ready: tuple[tuple[Ready, ...], ...] = ()
    """Steps that follow each other; the chains are independent."""
    servers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The certificates that are made, each with the names in it."""
    token_server: str = ""
    images: Mapping[str, tuple[Image, ...]] = field(default_factory=dict)
    """What the registries hold, by the directory that is bound to them."""

    @property
    def wanted(self) -> Wanted:
        """What must be built before it can be brought up."""
        binds = [source for host in self.hosts.values() for source in host.binds.values()]
        return Wanted(
            bases=frozenset(host.base for host in self.hosts.values() if host.mode != "operator"),
            programs=frozenset(source.removeprefix("bin/") for source in binds if source.startswith("bin/")),
            servers=self.servers,
            token_server=self.token_server,
            ssh_hosts=tuple(host.name for host in self.systemd_hosts),
            images=self.images,
        )

    def on(self, said: str | Iterable[str], where: str) -> tuple[str, ...]:
        """The hosts that are meant: by a host's name, by `role:ROLE`, or by several of these. Raises TopologyError."""
        if not isinstance(said, str):
            return tuple(host for each in said for host in self.on(each, where))
        if said.startswith("role:"):
            role = said.removeprefix("role:")
            if role not in self.roles:
                raise TopologyError(f"{where}: no role {role}{nearest(role, list(self.roles))}")
            return self.roles[role]
        if said not in self.hosts:
            raise TopologyError(f"{where}: no host {said}{nearest(said, list(self.hosts))}")
        return (said,)

    def template(self, source: str) -> Path:
        """The file that a host's file is made from: the site's own, else the one that sites share."""
        own = SITES / self.site / "daemons" / source
        return own if own.is_file() else DAEMONS / source

    @property
    def systemd_hosts(self) -> tuple[Host, ...]:
        return tuple(h for h in self.hosts.values() if h.mode == "systemd")

    def fill(self, text: str, host: str, where: str, form: Callable[[str], str] = str) -> str:
        """Put values in a template.

        `@{name}` is this host, `@{HOST.LINK}` or `@{HOST.LINK.N}` an address, `@{ROLE}` the first host that is one
        (also as a HOST), and else it is one of the site's words. `form` is what a value becomes.
        """

        def value(match: re.Match[str]) -> str:
            return form(resolved(match[1]))

        def resolved(word: str) -> str:
            if word == "name":
                return host
            if word in self.words:
                return self.words[word]
            if word in self.roles:
                return self.roles[word][0]
            parts = word.split(".")
            known = self.hosts.get(self.roles[parts[0]][0] if parts[0] in self.roles else parts[0])
            if known is not None and len(parts) in (2, 3):
                links = {link.name: link.addresses for link in known.links} | {"lo": known.loopback}
                position = int(parts[2]) if len(parts) == 3 and parts[2].isdigit() else 0
                addresses = links.get(parts[1], ())
                if position < len(addresses):
                    return str(addresses[position].ip)
            raise TopologyError(f"{where}: @{{{word}}} names no address of the topology and no word of it")

        return REFERENCE.sub(value, text)


def sites() -> list[str]:
    return sorted(path.parent.name for path in SITES.glob("*/topology.toml"))


def known(site: str) -> None:
    """Raises UsageError where there is no such site."""
    if site not in sites():
        raise UsageError(f"no site {site}{nearest(site, sites())}")


def load(site: str = FIRST, place: Path = SITES) -> Topology:
    """As its folder in `place` says. Raises UsageError where there is no such site, TopologyError for a wrong one."""
    known(site)
    templates = {
        str(path.relative_to(daemons))
        for daemons in (DAEMONS, place / site / "daemons")
        for path in daemons.rglob("*")
        if path.is_file()
    }
    try:
        return parse((place / site / "topology.toml").read_text(), templates, site)
    except TopologyError as error:
        raise TopologyError(f"{site}/topology.toml: {error}") from None


def fingerprint(site: str) -> str:
    """Of everything a host is made from here: a lab that runs is told from what the files say by now."""
    digest = hashlib.sha256((SITES / site / "topology.toml").read_bytes())
    for path in sorted([*DAEMONS.rglob("*"), *(SITES / site / "daemons").rglob("*")]):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def parse(text: str, templates: Iterable[str], site: str = FIRST) -> Topology:
    """The validated topology; `templates` are the files that exist under daemons/."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TopologyError(f"not TOML: {error}") from None
    known_keys(data, SITE_KEYS, "")
    segments = {name: network_of(cidr, f"segments.{name}") for name, cidr in data.get("segments", {}).items()}
    known = set(templates)
    units = sorted(
        {*BASE_SERVICES, *(t.removeprefix("units/").removesuffix(".service") for t in known if t.startswith("units/"))}
    )
    shared = sysctl_of(data.get("sysctl", {}), "sysctl")
    hosts = {
        name: host_of(name, table, segments, shared, known, units) for name, table in data.get("hosts", {}).items()
    }
    if not hosts:
        raise TopologyError("hosts: there are none")
    _unique(hosts)
    login = str(data.get("login", LOGIN))
    if not NAME.fullmatch(login):
        raise TopologyError(f"login: {login} cannot be the name of a user")
    plain = Topology(segments, hosts, site, roles=_roles(data.get("roles", {}), hosts), login=login)
    # A word may be an address, which stands at one place; never another word.
    words = {word: plain.fill(str(value), "", f"words.{word}") for word, value in data.get("words", {}).items()}
    for word in words:
        if word == "name" or "." in word or word in hosts or word in plain.roles:
            raise TopologyError(f"words.{word}: a host, a role or an address is called so")
    worded = replace(plain, words=words)
    return replace(
        worded,
        ready=tuple(chain for n, table in enumerate(data.get("ready", ())) for chain in _ready(table, n, worded)),
        servers={
            name: tuple(worded.fill(served, "", f"servers.{name}") for served in names)
            for name, names in data.get("servers", {}).items()
        },
        token_server=worded.fill(str(data.get("token_server", "")), "", "token_server"),
        images={
            storage: tuple(_image(name, padding, f"images.{storage}.{name}") for name, padding in held.items())
            for storage, held in data.get("images", {}).items()
        },
    )


def _roles(table: Mapping[str, Any], hosts: Mapping[str, Host]) -> dict[str, tuple[str, ...]]:
    found = {}
    for role, said in table.items():
        names = tuple([said] if isinstance(said, str) else said)
        for name in names:
            if name not in hosts:
                raise TopologyError(f"roles.{role}: no host {name}{nearest(name, list(hosts))}")
        if not names:
            raise TopologyError(f"roles.{role}: no host is it")
        found[role] = names
    return found


def _ready(table: Mapping[str, Any], number: int, site: Topology) -> Iterator[tuple[Ready, ...]]:
    """A chain for each of the hosts that it is for; `@{name}` is the host."""
    where = f"ready.{number}"
    known_keys(table, ("on", "steps"), f"{where}.")
    for host in site.on(table.get("on", ""), f"{where}.on"):
        yield tuple(_ready_step(step, host, f"{where}.steps", site) for step in table.get("steps", ()))


def _ready_step(step: Mapping[str, Any], host: str, where: str, site: Topology) -> Ready:
    known_keys(step, ("what", "run", "prints"), f"{where}.")
    what, run, prints = (site.fill(str(step.get(key, "")), host, where) for key in ("what", "run", "prints"))
    if not (what and run and prints):
        raise TopologyError(f"{where}: a step has `what`, `run` and what it `prints`")
    return Ready(host, what, run, prints)


def _image(name: str, padding: object, where: str) -> Image:
    repository, colon, tag = name.rpartition(":")
    if not colon or not isinstance(padding, int):
        raise TopologyError(f"{where}: an image is `REPOSITORY:TAG` with the bytes that it is padded by")
    return Image(repository, tag, padding)


def _unique(hosts: Mapping[str, Host]) -> None:
    owner: dict[IPv4Address, str] = {}
    for host in hosts.values():
        for link in host.links:
            for address in link.addresses:
                _claim(owner, address.ip, f"hosts.{host.name}.links.{link.name}.addresses", host.name)
        for address in host.loopback:
            _claim(owner, address.ip, f"hosts.{host.name}.loopback", host.name)


def _claim(owner: dict[IPv4Address, str], address: IPv4Address, where: str, host: str) -> None:
    if address in owner:
        raise TopologyError(f"{where}: {address} is already {owner[address]}'s")
    owner[address] = host
