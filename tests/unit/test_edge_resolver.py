"""Which resolver answers on a router's port 53, and what it is said to do with a zone: on recorded answers together."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
import recorded

from siteproof.asks import Output, Question, Recorded
from siteproof.asks.words import Address
from siteproof.errors import NoControl, ProbeError, ToolMissing, Unanswered
from siteproof.probes.edge.nat import NatRules
from siteproof.probes.edge.nft import nf_tables_forwards
from siteproof.probes.names.dns import Reply
from siteproof.probes.names.edge_resolver import edge_forwarding
from siteproof.probes.names.forwarding import Forwarding
from siteproof.probes.names.listening import Process, answering, sockets
from tests_infra.test_dns_authority import passed_on

ZONE = "home.example"
EDGE = (IPv4Address("10.0.20.1"), IPv4Address("192.168.0.1"))
AUTHORITY = frozenset({IPv4Address("10.0.20.201"), IPv4Address("10.0.20.202")})
RECORDED = {recording.name: recording for recording in recorded.every()}
SS = """\
udp UNCONN 0 0 10.0.20.1%vlan20:53 0.0.0.0:* users:(("pihole-FTL",pid=9,fd=4))
tcp LISTEN 0 32 10.0.20.1:53 0.0.0.0:* users:(("pihole-FTL",pid=9,fd=5),("systemd",pid=1,fd=50))
udp UNCONN 0 0 *:53 *:* users:(("named",pid=7,fd=4))
tcp LISTEN 0 10 [::]:53 [::]:* users:(("named",pid=7,fd=5))
tcp LISTEN 0 10 0.0.0.0:53 0.0.0.0:* users:(("named",pid=7,fd=6))
udp UNCONN 0 0 0.0.0.0%lxdbr0:53 0.0.0.0:* users:(("dnsmasq",pid=8,fd=4))
"""


def forwarding(*names: str, without: ProbeError | None = None) -> Forwarding:
    """What the resolver does, of these recordings; `without`: in place of every other question's answer."""
    answers: dict[str, Recorded] = {RECORDED[n].single.question.key: RECORDED[n].output for n in names}
    ask = edge_forwarding("edge", ZONE, EDGE)
    lack: Recorded = without or ToolMissing("edge has no unbound-control")

    def recorded_to(question: Question) -> Recorded:
        return answers.get(question.key, lack)

    return ask.read(recorded_to)


@pytest.mark.parametrize("version", ["2.85", "2.90", "2.91", "2.93"])
def test_dnsmasq_is_asked_where_it_answers(version: str) -> None:
    assert forwarding(f"dnsmasq-{version}-forwards", "dns-2.90-servers-bind") == Forwarding(AUTHORITY, {}, {})


def test_unbound_is_asked_where_it_answers_and_only_there() -> None:
    unbound = ("unbound-1.17-forwards", "unbound-1.17-overrides")
    found = forwarding("unbound-1.17-port-53", *unbound)
    assert found.forwards == AUTHORITY
    assert found.hiding == {ZONE: "static"}
    assert forwarding("unbound-1.17-port-53-is-dnsmasqs", "dns-2.90-servers-bind", *unbound).hiding == {}


def test_a_program_that_nobody_knows_is_named() -> None:
    whole = RECORDED["unbound-1.17-port-53"]
    other = replace(whole.output, stdout=whole.output.stdout.replace(b'"unbound"', b'"pdns_recursor"'))
    with pytest.raises(NoControl, match="pdns_recursor answers on port 53, and only of unbound and dnsmasq"):
        edge_forwarding("edge", ZONE, EDGE).read(
            lambda question: other if question.key == whole.single.question.key else Unanswered("nobody")
        )


def test_dnsmasq_without_a_server_that_its_files_have_is_not_what_they_say() -> None:
    told = RECORDED["dns-2.90-servers-bind"]
    lost = replace(told.output, stdout=told.output.stdout.replace(b"10.0.20.202#53", b"10.0.20.209#53"))
    assert lost != told.output
    answers = {
        RECORDED["dnsmasq-2.90-forwards"].single.question.key: RECORDED["dnsmasq-2.90-forwards"].output,
        told.single.question.key: lost,
    }
    with pytest.raises(NoControl, match=r"runs without 10\.0\.20\.202"):
        edge_forwarding("edge", ZONE, EDGE).read(lambda question: answers[question.key])
    with pytest.raises(NoControl, match="does not say which servers it has"):
        forwarding("dnsmasq-2.90-forwards", without=Unanswered("nobody"))


def test_dnsmasq_that_does_not_tell_is_believed_by_its_files_and_that_is_said() -> None:
    assert forwarding("dnsmasq-2.90-forwards", "dns-2.90-no-ident").remarks != ()


@pytest.mark.parametrize(
    ("addresses", "name"),
    [
        ((IPv4Address("10.0.20.1"),), "pihole-FTL"),
        ((IPv4Address("192.168.0.1"), IPv6Address("fd00::1")), "named"),
        ((IPv4Address("10.0.20.1"), IPv4Address("192.168.0.1")), None),
    ],
)
def test_who_listens_at_the_address_goes_before_who_listens_everywhere(
    addresses: tuple[Address, ...], name: str | None
) -> None:
    if name is None:
        with pytest.raises(NoControl, match="not one program.*named, pihole-FTL"):
            answering(sockets(SS, "ss"), addresses)
    else:
        assert {process.name for process in answering(sockets(SS, "ss"), addresses)} == {name}


def test_freebsd_tells_by_sockstat() -> None:
    # As its manual shows the columns: https://man.freebsd.org/cgi/man.cgi?query=sockstat
    told = """\
unbound  unbound    75430 3  udp4   10.0.20.1:53          *:*
unbound  unbound    75430 4  tcp4   10.0.20.1:53          *:*
root     php-fpm    412   9  udp4   10.0.20.1:31415       198.51.100.53:53
"""
    assert answering(sockets(told, "sockstat"), [EDGE[0]]) == (Process("unbound", 75430),)


def test_an_empty_answer_is_passed_on_where_the_zone_is_forwarded() -> None:
    nothing = Reply("NOERROR", True, (), frozenset())
    soa = Reply("NOERROR", True, (), frozenset(), serial=1)
    assert passed_on(nothing, soa), "dnsmasq passes on that the authority has spoken"
    assert passed_on(replace(nothing, authoritative=False), None)
    assert not passed_on(nothing, nothing), "a local zone has no serial"
    assert not passed_on(Reply("NXDOMAIN", False, (), frozenset()), soa)
    assert not passed_on(replace(nothing, addresses=frozenset({ip_address("10.0.20.203")})), soa)


def test_without_nft_and_without_nf_tables_in_the_kernel_there_are_no_rules_of_it() -> None:
    ask = nf_tables_forwards("edge")

    def read(kernel: str) -> NatRules:
        output: Output = RECORDED[kernel].output
        key = RECORDED[kernel].single.question.key
        return ask.read(lambda question: output if question.key == key else ToolMissing("edge has no nft"))

    assert read("kernel-6.18-no-nf_tables") == NatRules(())
    with pytest.raises(ToolMissing):
        read("kernel-6.18-nf_tables")
