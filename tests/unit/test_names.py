"""What programs get for a name counts if somebody who is asked there gives it now."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

import dns.message
import dns.rrset
import pytest

from siteproof.asks import Ask, Command, Output, Question, Recorded, Stream
from siteproof.errors import NoControl, ProbeError, Unanswered
from siteproof.probes.names.forms import in_one_form
from siteproof.probes.names.programs import explained, program_addresses
from siteproof.probes.names.resolved import Asked, Scope
from siteproof.probes.names.resolver import Listing

NAME, CONTROL = "forgejo.home.example", "www.example"
RIGHT, PUBLIC, STALE = "192.0.2.203", "198.51.100.76", "192.0.2.204"
FIRST, SECOND = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
ASKED = Asked(scopes=(Scope(FIRST, (), default=True),))


class Site:
    """Answers of one host: what getent says, what each server says over TCP and UDP, and its hosts file."""

    def __init__(self, getent: str, *, pin: str = "", alone: str = "", **servers: str | tuple[str, str]) -> None:
        self.getent, self.pin, self.alone = getent, pin, alone or getent
        self.servers = {"192.0.2.1": servers.get("first", ""), "192.0.2.2": servers.get("second", "")}

    def __call__(self, question: Question) -> Recorded:
        if isinstance(question, Stream):
            said = self._server(question.address, 0)
            return self._message(dict(question.parameters)["name"], said)
        assert isinstance(question, Command)
        if question.probe.startswith("/etc/hosts"):
            pin = f"{self.pin} Forgejo.Home.Example.\n" if self.pin else ""
            return _output(f"\n== siteproof file /etc/hosts\n127.0.0.1 localhost\n{pin}\n== siteproof end\n")
        if question.probe.startswith("getent"):
            return self._getent(self.alone if "-s dns" in question.probe else self.getent, CONTROL in question.probe)
        return self._dig(question.probe)

    def _server(self, address: str, way: int) -> str:
        said = self.servers[address]
        return said if isinstance(said, str) else said[way]

    @staticmethod
    def _message(name: str, said: str) -> Recorded:
        if said == "silent":
            return Unanswered("nobody answers")
        query = dns.message.make_query(name, "A")
        reply = dns.message.make_response(query, recursion_available=True)
        if said or name == CONTROL:
            reply.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "A", said or "192.0.2.80"))
        return Output(0, reply.to_wire(), b"", 0.0, 0.0)

    @staticmethod
    def _getent(address: str, control: bool) -> Output:
        address = address or ("192.0.2.80" if control else "")
        lines = [f"{address}     {kind}" for kind in ("STREAM", "DGRAM", "RAW")] if address else []
        body = "".join(f"{line}\n" for line in lines)
        status = 0 if address else 2
        return _output(f"\n== siteproof found\n{body}\n== siteproof status\n{status}\n\n== siteproof end\n")

    def _dig(self, probe: str) -> Recorded:
        _, _, name, _, server = probe.split()
        said = self._server(server, 1)
        if said == "silent":
            text, status = ";; no servers could be reached\n", 9
        else:
            said = said or ("192.0.2.80" if name == CONTROL else "")
            answer = f";; ANSWER SECTION:\n{name}. 60 IN A {said}\n" if said else ""
            text = (
                ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\n"
                f";; flags: qr rd ra; QUERY: 1, ANSWER: {int(bool(said))}, AUTHORITY: 0, ADDITIONAL: 0\n"
                f";; QUESTION SECTION:\n;{name}. IN A\n\n{answer}"
            )
            status = 0
        return _output(f"\n== siteproof said by dig\n{text}\n== siteproof status\n{status}\n\n== siteproof end\n")


def _output(text: str) -> Output:
    return Output(0, text.encode(), b"", 0.0, 0.0)


def programs(site: Site, asked: Asked = ASKED, **given: str) -> str:
    right = frozenset({IPv4Address(RIGHT)})
    ask = program_addresses("h", NAME, asked=asked, control=CONTROL, right=right, **given)  # type: ignore[arg-type]
    return _said(ask, site)


def _said(ask: Ask[frozenset[IPv4Address]] | Ask[object], site: Callable[[Question], Recorded]) -> str:
    try:
        return " ".join(map(str, ask.read(site)))  # type: ignore[call-overload]
    except ProbeError as error:
        return error.kind


TWO = Asked(Listing((FIRST, SECOND)))
BOTH_SCOPES = Asked(scopes=(Scope(FIRST, (), default=True), Scope(SECOND, (), default=True)))


@pytest.mark.parametrize(
    ("site", "asked", "comes_to"),
    [
        (Site(RIGHT, first=RIGHT), ASKED, RIGHT),
        # A cache says what was right yesterday; its control is right as well.
        (Site(RIGHT, first=PUBLIC), ASKED, "NoControl"),
        (Site(RIGHT, first=""), ASKED, "NoControl"),
        (Site(RIGHT, first="silent"), ASKED, "NoControl"),
        (Site(RIGHT, first=(RIGHT, PUBLIC)), ASKED, "NoControl"),
        (Site(RIGHT, first=RIGHT, pin=STALE), ASKED, "NoControl"),
        # What is wrong is wrong, whoever says so.
        (Site(PUBLIC, first=PUBLIC), ASKED, PUBLIC),
        (Site(PUBLIC, first=RIGHT), ASKED, PUBLIC),
        (Site(STALE, first=RIGHT, pin=STALE), ASKED, STALE),
        (Site(RIGHT, first="silent", pin=RIGHT), ASKED, RIGHT),
        # glibc goes on to the next server where one is silent, and to no other.
        (Site(RIGHT, first="silent", second=RIGHT), TWO, RIGHT),
        (Site(RIGHT, first=PUBLIC, second=RIGHT), TWO, "NoControl"),
        # resolved takes an address of either link.
        (Site(RIGHT, first="", second=RIGHT), BOTH_SCOPES, RIGHT),
        (Site(RIGHT, first=PUBLIC, second=RIGHT), BOTH_SCOPES, "NoControl"),
    ],
)
def test_the_right_answer_counts_if_somebody_gives_it_now(site: Site, asked: Asked, comes_to: str) -> None:
    assert programs(site, asked) == comes_to


def test_from_dns_alone_a_pin_may_come_through_resolved_and_need_not() -> None:
    assert programs(Site(RIGHT, first=RIGHT, pin=STALE), only="dns") == RIGHT


def test_servers_count_as_asked_where_programs_get_what_they_say() -> None:
    def comes_to(site: Site) -> str:
        return _said(explained("h", NAME, asked=ASKED, control=CONTROL), site)

    assert comes_to(Site(PUBLIC, first=PUBLIC)) == PUBLIC
    assert comes_to(Site(PUBLIC, first=RIGHT)) == "NoControl"
    assert comes_to(Site("", first="")) == ""


ROUTED = Asked(
    scopes=(
        Scope(FIRST, (), default=True),
        Scope(SECOND, ("home.example",), default=False),
        Scope(None, ("git.home.example",), default=False),
    )
)


@pytest.mark.parametrize(
    ("name", "servers"),
    [("forgejo.home.example", {SECOND}), ("HOME.example.", {SECOND}), ("athome.example", {FIRST}), (CONTROL, {FIRST})],
)
def test_resolved_asks_the_link_whose_domain_has_the_name(name: str, servers: set[IPv4Address]) -> None:
    assert ROUTED.about(name) == (frozenset(servers),)


def test_all_names_may_be_routed_to_one_link() -> None:
    everything = Asked(scopes=(Scope(FIRST, (), default=True), Scope(SECOND, ("",), default=True)))
    assert everything.about(NAME) == (frozenset({SECOND}),)


def test_nobody_is_asked_where_no_link_takes_the_name() -> None:
    assert Asked(scopes=(Scope(SECOND, ("lan.example",), default=False),)).about(NAME) == (frozenset(),)


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("Forgejo.Home.Example.", "forgejo.home.example"),
        ("büro.example", "xn--bro-hoa.example"),
        ("xn--bro-hoa.EXAMPLE.", "xn--bro-hoa.example"),
        (".", ""),
        ("a" * 70 + "ü", "a" * 70 + "ü"),
    ],
)
def test_a_name_has_one_form(spelt: str, name: str) -> None:
    assert in_one_form(spelt) == name


def test_a_witness_that_cannot_be_asked_is_said() -> None:
    def no_hosts_file(question: Question) -> Recorded:
        return (
            NoControl("no hosts file")
            if question.probe.startswith("/etc/hosts")
            else Site(RIGHT, first=RIGHT)(question)
        )

    ask = program_addresses("h", NAME, asked=ASKED, control=CONTROL, right=frozenset({IPv4Address(RIGHT)}))
    with pytest.raises(NoControl, match="its witness could not be asked: no hosts file"):
        ask.read(no_hosts_file)
