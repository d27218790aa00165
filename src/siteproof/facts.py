"""What must be true of the site, as its inventory declares it.

One variable `siteproof_<family>` per family. A family's model says what may stand in it; its `subjects` say over what
the family's checks are parametrized. No expected value stands in Python.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from siteproof.declared import Declared, nearest, read, read_all
from siteproof.errors import BadInput
from siteproof.inventory import Inventory, Value

PREFIX = "siteproof_"


@dataclass(frozen=True)
class Node:
    """A host that is asked."""

    host: str

    def __str__(self) -> str:
        return self.host


class Router(Node):
    """A node that stands between the site and the internet."""


class Outside(Node):
    """A vantage point on the internet, beyond the site's own router."""


@dataclass(frozen=True)
class Absent:
    """There is nothing of this kind to check; the inventory says why."""

    reason: str


HostsOf = Callable[[str, str], tuple[str, ...]]
"""(key, pattern) -> host names in inventory order; BadInput for an unknown name or an empty match."""
Subjects = Mapping[type, Sequence[Any] | Absent]


class Family(Declared):
    """The facts of one subject."""

    name: ClassVar[str]
    scope: ClassVar[Literal["site", "host"]] = "site"
    """`site`: one value, the same wherever it is looked up. `host`: each host has its own."""

    def subjects(self, hosts: HostsOf) -> Subjects:
        """The subjects of a site-wide family, by type."""
        raise NotImplementedError


def _host_name(value: str) -> str:
    if not re.fullmatch(
        r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*", value
    ):
        raise ValueError("not a DNS name")
    return value.lower()


HostName = Annotated[str, AfterValidator(_host_name)]
"""A DNS name without the final dot, in lower case."""


def _address_or_network(value: object) -> object:
    return f"{value}/32" if isinstance(value, str) and "/" not in value else value


Network = Annotated[IPv4Network, BeforeValidator(_address_or_network)]
"""An IPv4 network; a plain address is its /32."""


def _https(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("not an http or https URL")
    return value


Url = Annotated[str, AfterValidator(_https)]


class Name(Declared):
    """A DNS name and its answer inside the site."""

    name: HostName
    internal: Annotated[tuple[IPv4Address, ...], Field(min_length=1)]

    def __str__(self) -> str:
        return self.name


class Dns(Family):
    """Names: whoever asks, the answer is the declared one."""

    name: ClassVar[str] = "dns"

    hosts: str
    control_name: HostName
    """A name outside the site that every resolver in use must answer; without its answer a silence proves nothing."""
    names: Annotated[tuple[Name, ...], Field(min_length=1)]

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("hosts", self.hosts)], Name: self.names}


class Pulls(Family):
    """Image pulls: which way they may not take."""

    name: ClassVar[str] = "pulls"

    hosts: str
    probe_image: str
    """Dedicated to this probe and used by nothing else: it is pulled, and removed unless it was there before."""
    forbidden: Annotated[tuple[Network, ...], Field(min_length=1)]
    """Where no pull may go, e.g. the site's own public address."""
    deadline_s: Annotated[int, Field(ge=5, le=600)] = 60

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("hosts", self.hosts)]}


class Link(Family):
    """The interface of a host's default route."""

    name: ClassVar[str] = "link"
    scope: ClassVar[Literal["site", "host"]] = "host"

    mtu: Annotated[int, Field(ge=576, le=65536)]
    """Bytes."""


class Transfer(Declared):
    """A download of at least 200 KB over the path, and one of the same kind that does not leave the site."""

    name: str
    url: Url
    control: Url

    def __str__(self) -> str:
        return self.name


class Path(Family):
    """The path from the site to the internet."""

    name: ClassVar[str] = "path"

    sources: str
    mtu: Annotated[int, Field(ge=576, le=65536)]
    """The largest packet the whole path carries, in bytes."""
    transfers: Annotated[tuple[Transfer, ...], Field(min_length=1)]

    @property
    def mss(self) -> int:
        """The largest TCP segment of that path over IPv4: without the 20 bytes each of the IP and the TCP header."""
        return self.mtu - 40

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("sources", self.sources)], Transfer: self.transfers}


class Overlay(Declared):
    """An overlay network of the swarm."""

    name: str
    subnet: IPv4Network
    attachable: bool

    def __str__(self) -> str:
        return self.name


class Swarm(Family):
    """Docker Swarm."""

    name: ClassVar[str] = "swarm"

    managers: str
    overlays: Annotated[tuple[Overlay, ...], Field(min_length=1)]

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("managers", self.managers)], Overlay: self.overlays}


def _ports(value: str) -> str:
    match = re.fullmatch(r"(tcp|udp)/(\d{1,5})(?:-(\d{1,5}))?", value)
    if match is None:
        raise ValueError("a service is written `tcp/443` or `udp/3000-3003`")
    first, last = int(match[2]), int(match[3] or match[2])
    if not 0 < first <= last < 65536:
        raise ValueError("ports run from 1 to 65535, the lower one first")
    return value


Service = Annotated[str, AfterValidator(_ports)]
"""`tcp/443`, or a range: `udp/3000-3003`."""


class PublicAddress(Declared):
    """An address of the site on the internet, and what may be reached through it."""

    address: IPv4Address
    allow: Annotated[tuple[Service, ...], Field(min_length=1)]
    """Everything that is open on purpose."""
    control: Service
    """One of `allow` that answers now: its answer shows that the outside can reach the site at all."""

    @model_validator(mode="after")
    def _control_is_one_open_tcp_port(self) -> Self:
        if not re.fullmatch(r"tcp/\d+", self.control):
            raise ValueError("`control` is a single TCP port, e.g. `tcp/443`")
        if self.control_port not in self.allowed("tcp"):
            raise ValueError("`control` is not among `allow`")
        return self

    @property
    def control_port(self) -> int:
        return int(self.control.partition("/")[2])

    def allowed(self, protocol: str) -> frozenset[int]:
        """The allowed ports of a protocol."""
        ports: set[int] = set()
        for service in self.allow:
            spoken, _, span = service.partition("/")
            if spoken == protocol:
                first, _, last = span.partition("-")
                ports.update(range(int(first), int(last or first) + 1))
        return frozenset(ports)

    def __str__(self) -> str:
        return str(self.address)


ARBITRARY_PORTS = 8
Port = Annotated[int, Field(ge=1, le=65535)]


class Unseen(Declared):
    """Why there is nothing to look at."""

    none: str


class Edge(Family):
    """The router to the internet: what it lets in."""

    name: ClassVar[str] = "edge"

    routers: str | Unseen
    """Whose rules are read; `{none: reason}` for a router that has no way to be asked."""
    outside: str | Unseen
    """Vantage points on the internet; `{none: reason}` where there is none."""
    addresses: Annotated[tuple[PublicAddress, ...], Field(min_length=1)]
    """Every public address of the site."""
    tempting_ports: Annotated[tuple[Port, ...], Field(min_length=1)]
    """TCP ports that attackers try first and that a host behind the edge may well have open, e.g. 22 and 6443."""
    ports_at_once: Annotated[int, Field(ge=1)] = 1024
    """A forward of more ports than these counts as one of all ports."""

    @property
    def public(self) -> frozenset[IPv4Address]:
        return frozenset(address.address for address in self.addresses)

    def sample(self, address: PublicAddress) -> tuple[int, ...]:
        """TCP ports of `address` to try that are not on its allowlist: the tempting ones and a few arbitrary ones.

        The arbitrary ones hang on the address alone, so that runs can be compared and replayed.
        """
        digest = hashlib.sha256(str(address).encode()).digest()
        arbitrary = (1024 + int.from_bytes(digest[i : i + 2]) % 64512 for i in range(0, 2 * ARBITRARY_PORTS, 2))
        return tuple(sorted({*self.tempting_ports, *arbitrary} - address.allowed("tcp")))

    def subjects(self, hosts: HostsOf) -> Subjects:
        def nodes(kind: type[Node], key: str, pattern: str | Unseen) -> Sequence[Node] | Absent:
            return Absent(pattern.none) if isinstance(pattern, Unseen) else [kind(h) for h in hosts(key, pattern)]

        return {
            Router: nodes(Router, "routers", self.routers),
            Outside: nodes(Outside, "outside", self.outside),
            PublicAddress: self.addresses,
        }


class Waiver(Declared):
    """A violation that somebody answers for, until a day."""

    id: str
    hosts: str
    owner: str
    reason: str
    until: date
    """The last day, UTC. From the next day on the waiver is void."""


FAMILIES: Mapping[str, type[Family]] = {f.name: f for f in (Dns, Pulls, Link, Path, Swarm, Edge)}
OTHERS = ("absent", "waivers", "lab", "hostname", "machine_id")


@dataclass(frozen=True)
class Case:
    """One subject of one check: the arguments of its parameters."""

    id: str
    host: str | None
    """The vantage point; None if the subject has none."""
    arguments: Mapping[str, Any]
    absent: str | None = None
    """Why the check does not apply."""


@dataclass(frozen=True)
class Site:
    """Everything the inventory says, validated."""

    inventory: Inventory
    families: Mapping[str, Family]
    by_host: Mapping[str, Mapping[str, Family]]
    """Family -> host -> its own facts, for families of scope `host`."""
    absent: Mapping[str, str]
    waivers: tuple[Waiver, ...]
    waiver_hosts: tuple[frozenset[str], ...]
    """The hosts of each waiver."""
    lab: str | None

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Families that are neither declared nor listed as absent."""
        known = {*self.families, *(f for f, hosts in self.by_host.items() if hosts), *self.absent}
        return tuple(f for f in FAMILIES if f not in known)

    def cases(self, family: str, parameters: Mapping[str, type]) -> list[Case]:
        """The subjects of a check of `family` with these parameters, in a stable order.

        A parameter of the family's own type gets the facts themselves and adds nothing to the id.
        """
        if reason := self.absent.get(family):
            return [Case("absent", None, dict.fromkeys(parameters), reason)]
        if FAMILIES[family].scope == "host":
            return [
                Case(host, host, {p: facts if t is type(facts) else Node(host) for p, t in parameters.items()})
                for host, facts in self.by_host.get(family, {}).items()
            ]
        facts = self.families.get(family)
        return [] if facts is None else list(self._product(facts, parameters))

    def _product(self, facts: Family, parameters: Mapping[str, type]) -> Iterator[Case]:
        subjects = facts.subjects(self.hosts_of(facts))
        choices: list[Sequence[Any]] = []
        for parameter, kind in parameters.items():
            if kind is type(facts):
                choices.append([facts])
                continue
            if kind not in subjects:
                raise TypeError(f"siteproof_{facts.name} has no subject of type {kind.__name__} for `{parameter}`")
            found = subjects[kind]
            if isinstance(found, Absent):
                yield Case("absent", None, dict.fromkeys(parameters), found.reason)
                return
            choices.append(found)
        for values in itertools.product(*choices):
            shown = [v for v in values if v is not facts]
            host = next((v.host for v in shown if isinstance(v, Node)), None)
            yield Case("-".join(map(str, shown)), host, dict(zip(parameters, values, strict=True)))

    def hosts_of(self, facts: Declared) -> HostsOf:
        """Resolves the host patterns of `facts`."""

        def resolve(key: str, pattern: str) -> tuple[str, ...]:
            return _match(self.inventory, facts, key, pattern)

        return resolve


def _match(inventory: Inventory, facts: Declared, key: str, pattern: str) -> tuple[str, ...]:
    try:
        hosts = inventory.match(pattern)
    except BadInput as error:
        raise BadInput(f"{facts.origin(key)}: {facts.path(key)}: {error}") from None
    if not hosts:
        raise BadInput(f"{facts.origin(key)}: {facts.path(key)}: no host matches `{pattern}`")
    return hosts


def read_site(inventory: Inventory) -> Site:
    """Validate every `siteproof_*` variable. Raises BadInput naming file, line and key."""
    _refuse_unknown(inventory)
    families: dict[str, Family] = {}
    by_host: dict[str, dict[str, Family]] = {}
    for name, model in FAMILIES.items():
        variable = PREFIX + name
        if model.scope == "host":
            by_host[name] = {
                host.name: read(model, host.facts[variable], name=variable)
                for host in inventory.hosts.values()
                if variable in host.facts
            }
        elif (value := site_wide(inventory, variable)) is not None:
            families[name] = read(model, value, name=variable)
    absent = _absent(inventory, families, by_host)
    waivers = _waivers(inventory)
    lab = site_wide(inventory, PREFIX + "lab")
    site = Site(
        inventory=inventory,
        families=families,
        by_host=by_host,
        absent=absent,
        waivers=waivers,
        waiver_hosts=tuple(frozenset(_match(inventory, w, "hosts", w.hosts)) for w in waivers),
        lab=None if lab is None else str(lab.value),
    )
    for facts in families.values():
        facts.subjects(site.hosts_of(facts))
    return site


def site_wide(inventory: Inventory, variable: str) -> Value | None:
    """The value that all hosts share. Raises BadInput where two hosts have different ones."""
    found: dict[str, Value] = {h.name: h.facts[variable] for h in inventory.hosts.values() if variable in h.facts}
    if not found:
        return None
    first, *others = found.items()
    for host, value in others:
        if value.value != first[1].value:
            raise BadInput(
                f"{value.line()}: {variable} is a fact of the whole site, but {host} has another value than "
                f"{first[0]} ({first[1].line()})"
            )
    return first[1]


def _refuse_unknown(inventory: Inventory) -> None:
    known = [PREFIX + n for n in (*FAMILIES, *OTHERS)]
    for host in inventory.hosts.values():
        for variable, value in host.facts.items():
            if variable not in known:
                near = nearest(variable, known)
                hint = f"; did you mean `{near}`?" if near else f"; known are {', '.join(known)}"
                raise BadInput(f"{value.line()}: {variable} is not known{hint}")


def _absent(
    inventory: Inventory, families: Mapping[str, Family], by_host: Mapping[str, Mapping[str, Family]]
) -> Mapping[str, str]:
    value = site_wide(inventory, PREFIX + "absent")
    if value is None:
        return {}
    if not isinstance(value.value, dict):
        raise BadInput(f"{value.line()}: siteproof_absent maps a family to the reason why the site has none")
    for family, reason in value.value.items():
        where = value.line(f"/{family}")
        if family not in FAMILIES:
            near = nearest(str(family), list(FAMILIES))
            raise BadInput(
                f"{where}: siteproof_absent.{family} is not a family"
                + (f"; did you mean `{near}`?" if near else f"; known are {', '.join(FAMILIES)}")
            )
        if not isinstance(reason, str) or not reason.strip():
            raise BadInput(f"{where}: siteproof_absent.{family} needs a reason")
        if family in families or by_host.get(family):
            raise BadInput(f"{where}: {family} is declared (siteproof_{family}) and absent at once")
    return dict(value.value)


def _waivers(inventory: Inventory) -> tuple[Waiver, ...]:
    value = site_wide(inventory, PREFIX + "waivers")
    return () if value is None else read_all(Waiver, value, name=PREFIX + "waivers")
