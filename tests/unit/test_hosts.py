"""A probe is asked of a host by its name, or of what has one: it is the same question."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from siteproof.asks import Ask, name_of
from siteproof.facts import Node
from siteproof.probes.names.dns import dns_reply
from siteproof.probes.names.getent import getent_addresses
from siteproof.probes.path.ip import default_link

CP1 = Node("cp1")
SERVER = IPv4Address("192.0.2.1")


@pytest.mark.parametrize(
    ("by_name", "by_subject"),
    [
        (default_link("cp1"), default_link(CP1)),
        (dns_reply("cp1", "a.example", at=SERVER), dns_reply(CP1, "a.example", at=SERVER)),
        (
            getent_addresses("cp1", "a.example", control="b.example"),
            getent_addresses(CP1, "a.example", control="b.example"),
        ),
    ],
    ids=["a command", "a stream", "with a control"],
)
def test_it_is_the_same_question(by_name: Ask[object], by_subject: Ask[object]) -> None:
    assert by_subject.questions == by_name.questions
    assert [q.key for q in by_subject.questions] == [q.key for q in by_name.questions]
    assert {q.host for q in by_subject.questions} == {"cp1"}


def test_a_name_is_its_own() -> None:
    assert name_of("cp1") == name_of(CP1) == "cp1"
