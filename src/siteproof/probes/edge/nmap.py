"""nmap: which ports answer from where, how, and from how far away."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # what is read is read by defusedxml  # nosec B405
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from siteproof.asks import ADDRESS, PORTS, Ask, Host, Output, command
from siteproof.errors import NoControl, TimedOut, Unparseable
from siteproof.probes.common.sections import readable
from siteproof.probes.edge.nat import HIGHEST_PORT

VERSION = {"nmap": "nmap --version"}

# What TTL a packet may have started with, by operating system.
INITIAL_TTLS = (64, 128, 255)
# What nmap says of a TCP port in a SYN scan, and how it says so of several in one word.
REASONS = {
    "syn-ack": "syn-acks",
    "split-handshake-syn": "split-handshake-syns",
    "reset": "resets",
    "no-response": "no-responses",
    "net-unreach": "net-unreaches",
    "host-unreach": "host-unreaches",
    "proto-unreach": "proto-unreaches",
    "port-unreach": "port-unreaches",
    "dest-unreach": "dest-unreaches",
    "net-prohibited": "net-prohibiteds",
    "host-prohibited": "host-prohibiteds",
    "admin-prohibited": "admin-prohibiteds",
    "time-exceeded": "time-exceededs",
    "source-quench": "source-quenches",
}
_SINGULAR = {plural: singular for singular, plural in REASONS.items()} | dict(zip(REASONS, REASONS, strict=True))


# nmap puts ports of one state together, without their distances, from 26 on; at -vvv from 101 on.
_SCRIPT = (
    'exec $ROOT nmap -vvv -n -Pn -sS -p "$ports" --reason --traceroute --max-retries 2 '
    '--initial-rtt-timeout 300ms --max-rtt-timeout 1s --host-timeout 25s -oX - "$address"'
)


@dataclass(frozen=True, slots=True)
class Port:
    """One port as seen from outside."""

    reason: str
    """nmap's: `syn-ack`, `reset`, `no-response`, `admin-prohibited`, `port-unreach`, …"""
    distance: int | None
    """Hops from here to whoever answered; None if nobody did."""

    @property
    def open(self) -> bool:
        return self.reason == "syn-ack"

    def __str__(self) -> str:
        return self.reason if self.distance is None else f"{self.reason} from {self.distance} hops away"


@dataclass(frozen=True, slots=True)
class Scan:
    """The TCP ports of one address."""

    ports: dict[int, Port]
    hops: dict[int, IPv4Address]
    """Distance -> the router that answered there; some may be missing."""
    control: int

    def is_behind(self, port: int, edge: Collection[IPv4Address], *, control_on_router: bool = False) -> bool:
        """Whether a SYN to `port` got past the router that has the addresses `edge`.

        An open port did. A refusal did if it comes from further away than that router, by its TTL; where the router
        shows itself nowhere on the way, if it comes from as far as the control does. A TTL tells only if it does so of
        the control, which is behind the router, or on it. Raises NoControl where the two cannot be told apart.
        """
        seen, reference = self.ports[port], self.ports[self.control].distance
        if seen.open:
            return True
        if seen.reason == "no-response":
            return False
        router = self._router(edge)
        said = f"port {port} answers ({seen.reason})"
        if seen.distance is None or reference is None:
            raise NoControl(f"{said}, and nothing tells from how far away")
        if router is not None and (reference < router or (reference == router) != control_on_router):
            raise NoControl(
                f"{said} from {seen.distance} hops away, but the distance tells nothing: the control comes from "
                f"{reference}, and the edge stands at {router}"
            )
        if router is not None or control_on_router:
            return seen.distance > (reference if router is None else router)
        if seen.distance < reference:
            raise NoControl(
                f"{said} from {seen.distance} hops away, the control from {reference}, and the edge does not show "
                "itself between"
            )
        return True

    def got_past(
        self, ports: Collection[int], edge: Collection[IPv4Address], *, control_on_router: bool = False
    ) -> tuple[dict[int, Port], list[str]]:
        """Which of `ports` are behind the router, and why it cannot be told of which (see `is_behind`)."""
        past, unclear = {}, []
        for port in ports:
            try:
                if self.is_behind(port, edge, control_on_router=control_on_router):
                    past[port] = self.ports[port]
            except NoControl as error:
                unclear.append(error.message)
        return past, unclear

    def forwarded(self, ports: Collection[int], edge: Collection[IPv4Address]) -> set[int]:
        """Which of `ports` somebody answers beyond the router for certain, so that a rule of it sends them there."""
        router, control = self._router(edge), self.ports[self.control].distance
        if router is None or control is None or control <= router:
            return set()
        return {port for port in ports if (self.ports[port].distance or 0) > router}

    def silent(self, ports: Collection[int]) -> set[int]:
        """Which of `ports` nobody answers: closed there, or forwarded to somebody who drops."""
        return {port for port in ports if self.ports[port].reason == "no-response"}

    def _router(self, edge: Collection[IPv4Address]) -> int | None:
        """How far away the router stands; None if it does not show itself."""
        return min((distance for distance, address in self.hops.items() if address in edge), default=None)


def tcp_scan(source: Host, address: IPv4Address, ports: Collection[int], *, control: int) -> Ask[Scan]:
    """How `address` answers a SYN from `source` on `ports`, and the hops on the way to it.

    `control` is a port that must be open from there, or the scan is NoControl: then nothing of the address can be
    seen from there, and a closed port says nothing. It is scanned together with the others.
    """
    wanted = sorted({*ports, control})
    listed = ",".join(map(str, wanted))
    return command(
        source,
        _SCRIPT,
        given={"ports": PORTS(listed), "address": ADDRESS(address)},
        probe=f"nmap -sS {address}",
        parse=lambda output: parse(output, address, wanted, control),
        tools=("nmap",),
        root=True,
        deadline_s=30,
        probe_class="sends",
        slow=True,
    )


def parse(output: Output, address: IPv4Address, wanted: Collection[int], control: int) -> Scan:
    """Raises Unparseable unless the scan ended well and shows every port, NoControl unless `control` is open."""
    try:
        run: ET.Element = fromstring(readable(output.text))
    except (ET.ParseError, DefusedXmlException) as error:
        raise Unparseable(f"nmap printed no XML ({error}): {output.text[:200]!r}") from None
    finished, host = run.find("runstats/finished"), run.find("host")
    if run.tag != "nmaprun" or finished is None or finished.get("exit") != "success" or host is None:
        raise Unparseable("nmap's run did not end with success")
    if host.get("timedout") == "true":
        raise TimedOut(f"nmap gave up on {address}")
    if (shown := host.find("address")) is None or shown.get("addr") != str(address):
        raise Unparseable(f"nmap speaks of another address than {address}")
    ports = {int(p.attrib["portid"]): _port(p) for p in host.iterfind("ports/port") if p.get("protocol") == "tcp"}
    # Ports that were put together; before 7.90 nmap did not say which.
    groups = list(host.iterfind("ports/extraports/extrareasons"))
    for group, numbers in zip(groups, _numbers(group.get("ports", "") for group in groups), strict=True):
        reason = _reason(group)
        for number in numbers:
            ports.setdefault(number, Port(reason, None))
    if missing := set(wanted) - set(ports):
        raise Unparseable(f"nmap does not show the ports {sorted(missing)}")
    if not ports[control].open:
        raise NoControl(f"the control, port {control} of {address}, is not open but {ports[control].reason}")
    if any(e.tag != "hop" or (e.tail or "").strip() for e in host.iterfind("trace/*")) or _said(host.find("trace")):
        raise Unparseable("nmap shows a trace of something else than hops")
    hops = {int(h.attrib["ttl"]): IPv4Address(h.attrib["ipaddr"]) for h in host.iterfind("trace/hop")}
    return Scan({number: ports[number] for number in sorted(wanted)}, hops, control)


def _port(port: ET.Element) -> Port:
    state = port.find("state")
    if state is None:
        raise Unparseable("nmap shows a port without its state")
    reason, ttl = _reason(state), int(state.attrib["reason_ttl"])
    if (reason == "syn-ack") != (state.get("state") == "open") or (reason == "no-response") != (ttl == 0):
        raise Unparseable(f"nmap contradicts itself about port {port.get('portid')}: {state.attrib}")
    return Port(reason, None if ttl == 0 else min(i for i in INITIAL_TTLS if i >= ttl) - ttl + 1)


def _said(element: ET.Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _reason(told: ET.Element) -> str:
    if told.get("reason") not in _SINGULAR:
        raise Unparseable(f"nmap gives a reason that a SYN scan does not have: {told.attrib}")
    return _SINGULAR[told.attrib["reason"]]


def _numbers(groups: Iterable[str]) -> list[list[int]]:
    """The numbers in `20-25,80` of each group. No port is in two of them, so that there are only so many."""
    found, count = [], 0
    for ports in groups:
        numbers: list[int] = []
        for part in filter(None, ports.split(",")):
            first, _, last = part.partition("-")
            span = range(int(first), int(last or first) + 1)
            if (count := count + max(1, span.stop - span.start)) > HIGHEST_PORT + 1:
                raise Unparseable(f"nmap puts more ports together than there are: {ports[:200]!r}")
            numbers += span
        found.append(numbers)
    return found
