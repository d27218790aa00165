"""What the resolver on a router does with a zone, whichever program it is that answers there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from siteproof.asks import Ask, Host, Question, Recorded
from siteproof.asks.words import Address
from siteproof.errors import NoControl, ProbeError
from siteproof.probes.names.dnsmasq import Port53, port_53, upstreams
from siteproof.probes.names.forwarding import Forwarding
from siteproof.probes.names.unbound import Overrides, unbound_forwards, unbound_overrides

KNOWN = ("unbound", "dnsmasq")


@dataclass(frozen=True, eq=False)
class EdgeResolver(Ask[Forwarding]):
    """Everyone is asked in one round, and the one is read that answers on port 53.

    An unbound behind a Pi-hole forwards as it should, and nobody asks it.
    """

    port_53: Ask[Port53]
    overrides: Ask[Overrides]
    forwards: Ask[Mapping[str, frozenset[Address]]]
    upstreams: Ask[frozenset[Address] | None]
    zone: str

    @property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        asks: tuple[Ask[object], ...] = (self.port_53, self.overrides, self.forwards, self.upstreams)
        return tuple(question for ask in asks for question in ask.questions)

    def read(self, recorded: Callable[[Question], Recorded]) -> Forwarding:
        there, host = self.port_53.read(recorded), self.questions[0].host
        if there.program == "unbound":
            own, forwards = self.overrides.read(recorded), self.forwards.read(recorded)
            return Forwarding(forwards.get(self.zone), own.hiding, own.records)
        if there.dnsmasq is None:
            raise NoControl(
                f"{there.program} answers on port 53, and only of {' and '.join(KNOWN)} it is known how to ask what "
                "they forward, and what they answer themselves",
                host=host,
            )
        return self._as_it_runs(there.dnsmasq, recorded)

    def _as_it_runs(self, written: Forwarding, recorded: Callable[[Question], Recorded]) -> Forwarding:
        """What its files say, if the servers that it says it has are those too."""
        try:
            told = self.upstreams.read(recorded)
        except ProbeError as error:
            raise NoControl(f"dnsmasq does not say which servers it has: {error}", host=error.host) from error
        if told is not None and (lost := (written.forwards or frozenset()) - told):
            raise NoControl(
                f"dnsmasq runs without {', '.join(sorted(map(str, lost)))}, which its files have: it is not what runs",
                host=self.questions[0].host,
            )
        if told is None:
            believed = "dnsmasq does not say which servers it has, so that its files are believed"
            return replace(written, remarks=(*written.remarks, believed))
        return written


def edge_forwarding(router: Host, zone: str, addresses: Collection[Address]) -> Ask[Forwarding]:
    """What the resolver on `router` that answers at `addresses` does with `zone`.

    Raises NoControl where it is none of KNOWN, and says which it is.
    """
    return EdgeResolver(
        port_53(router, zone, addresses),
        unbound_overrides(router, zone),
        unbound_forwards(router),
        upstreams(router, next(iter(addresses))),
        zone,
    )
