"""Facts are strict, say where they stand, and are cited when they are read."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import date
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from siteproof.errors import BadInput
from siteproof.facts.declared import CITED, Citation, Declared, declared_at, nearest, read, read_all
from siteproof.inventory.inventory import Value


class Name(Declared):
    name: str
    internal: IPv4Address
    ports: tuple[int, ...] = ()
    kind: Literal["web", "mail"] = "web"
    from_: str | None = Field(None, alias="from")


class Reason(Declared):
    none: str


class Dns(Declared):
    names: tuple[Name, ...]
    by_port: dict[int, Name] = {}
    network: IPv4Network | None = None
    until: date | None = None
    on: str | Reason = "all"
    strict: bool = False

    @field_validator("names")
    @classmethod
    def _some(cls, names: tuple[Name, ...]) -> tuple[Name, ...]:
        if not names:
            raise ValueError("Names are what it is about")
        return names


GOOD = {
    "names": [
        {"name": "forgejo", "internal": "10.0.20.203", "ports": [80, 443]},
        {"name": "mail", "internal": "10.0.20.1"},
    ],
    "by_port": {"25": {"name": "mail", "internal": "10.0.20.1", "from": "dns"}},
    "network": "10.0.20.0/24",
    "until": "2031-02-03",
    "on": {"none": "nobody"},
    "strict": True,
}
PLACES = {
    "": "all.yml:1:1",
    "/names/0": "all.yml:3:5",
    "/names/0/internal": "all.yml:4:5",
    "/names/1": "all.yml:5:5",
    "/names/1/internal": "all.yml:6:5",
    "/by_port/25/from": "all.yml:9:9",
    "/strict": "all.yml:12:3",
}


def value(document: Any, **inner: str) -> Value:
    return Value(document, PLACES, {f"/{key}": place for key, place in inner.items()})


@pytest.fixture
def dns() -> Dns:
    return read(Dns, value(GOOD), name="siteproof_dns")


@pytest.fixture
def cited() -> Iterator[list[Citation]]:
    citations: list[Citation] = []
    token = CITED.set(citations)
    yield citations
    CITED.reset(token)


def test_values_come_as_the_types_the_model_names(dns: Dns) -> None:
    assert dns.names[0].internal == IPv4Address("10.0.20.203")
    assert dns.names[0].ports == (80, 443)
    assert dns.by_port[25].from_ == "dns"
    assert (dns.network, dns.until, dns.strict) == (IPv4Network("10.0.20.0/24"), date(2031, 2, 3), True)
    assert dns.on == Reason(none="nobody")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"strict": 1}, "all.yml:12: siteproof_dns.strict should be a valid boolean, not 1"),
        ({"strict": "yes"}, 'all.yml:12: siteproof_dns.strict should be a valid boolean, not "yes"'),
        ({"strict": None}, "all.yml:12: siteproof_dns.strict should be a valid boolean, not empty"),
        ({"nmaes": []}, "all.yml:1: siteproof_dns.nmaes is not known; did you mean `names`?"),
        ({"zzz": []}, "all.yml:1: siteproof_dns.zzz is not known"),
        ({"names": []}, "all.yml:1: siteproof_dns.names: names are what it is about"),
        ({"names": {}}, "all.yml:1: siteproof_dns.names should be a valid array, not a mapping"),
        ({"names": [5]}, "all.yml:3: siteproof_dns.names[0] should be a mapping, not 5"),
        ({"names": [{"internal": "10.0.0.1"}]}, "all.yml:3: siteproof_dns.names[0].name is missing"),
        (
            {"names": [{"name": "a", "internal": "10.0.20.300"}]},
            "all.yml:4: siteproof_dns.names[0].internal: octet 300 (> 255) not permitted in '10.0.20.300'",
        ),
        (
            {"names": [{"name": "a", "internal": "10.0.0.1", "ports": ["80"]}]},
            'all.yml:3: siteproof_dns.names[0].ports[0] should be a valid integer, not "80"',
        ),
        (
            {"names": [{"name": "a", "internal": "10.0.0.1", "ports": [True]}]},
            "all.yml:3: siteproof_dns.names[0].ports[0] should be a valid integer, not true",
        ),
        (
            {"names": [{"name": "a", "internal": "10.0.0.1", "kind": "wbe"}]},
            "all.yml:3: siteproof_dns.names[0].kind should be 'web' or 'mail', not \"wbe\"",
        ),
        (
            {"names": [{"name": "a", "internal": "10.0.0.1", "form": "x"}]},
            "all.yml:3: siteproof_dns.names[0].form is not known; did you mean `from`?",
        ),
        (
            {"by_port": {"25": {"name": "a", "internal": "10.0.0.1", "Kind": "x"}}},
            "all.yml:1: siteproof_dns.by_port.25.Kind is not known; did you mean `kind`?",
        ),
        ({"network": "10.0.20.1/24"}, "all.yml:1: siteproof_dns.network: 10.0.20.1/24 has host bits set"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_key(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(Dns, value({**GOOD, **change}), name="siteproof_dns")
    assert str(refused.value) == sentence


def test_all_problems_of_a_variable_are_said_in_the_order_of_the_file() -> None:
    names = [{"nmae": "forgejo", "internal": "10.0.20.203"}, {"name": "mail", "internal": 5}]
    with pytest.raises(BadInput) as refused:
        read(Dns, value({"names": names, "strict": 1}), name="siteproof_dns")
    assert str(refused.value).splitlines() == [
        "all.yml:3: siteproof_dns.names[0].name is missing",
        "all.yml:3: siteproof_dns.names[0].nmae is not known; did you mean `name`?",
        "all.yml:6: siteproof_dns.names[1].internal should be a valid string, not 5",
        "all.yml:12: siteproof_dns.strict should be a valid boolean, not 1",
    ]


def test_one_of_two_kinds_is_reported_at_its_place() -> None:
    with pytest.raises(BadInput) as refused:
        read(Dns, value({**GOOD, "on": {"none": 5}}), name="siteproof_dns")
    assert "all.yml:1: siteproof_dns.on.none should be a valid string, not 5" in str(refused.value).splitlines()


def test_a_value_without_any_place_is_refused_by_its_key() -> None:
    with pytest.raises(BadInput, match=r"^siteproof_dns\.names is missing$"):
        read(Dns, Value({}), name="siteproof_dns")


def test_a_list_of_facts() -> None:
    facts = read_all(Reason, Value([{"none": "a"}, {"none": "b"}], {"/1": "all.yml:7:3"}), name="siteproof_x")
    assert [fact.none for fact in facts] == ["a", "b"]
    assert (facts[1].origin("none"), facts[1].path("none")) == ("all.yml:7", "siteproof_x[1].none")
    with pytest.raises(BadInput, match=r"^all.yml:7: siteproof_x\[1\].nnoe is not known; did you mean `none`"):
        read_all(Reason, Value([{"none": "a"}, {"none": "b", "nnoe": 1}], {"/1": "all.yml:7:3"}), name="siteproof_x")


def test_every_model_knows_its_place(dns: Dns) -> None:
    assert dns.origin("names") == "all.yml:1"
    assert dns.names[1].origin("internal") == "all.yml:6"
    assert dns.names[1].path("internal") == "siteproof_dns.names[1].internal"
    assert dns.by_port[25].origin("from") == "all.yml:9"


def test_the_place_behind_a_template_is_said_too() -> None:
    fact = read(Reason, value({"none": "x"}, none="vars.yml:7:1"), name="siteproof_x")
    assert fact.origin("none") == "all.yml:1 (from vars.yml:7)"


def test_a_fact_made_by_hand_has_no_place(cited: list[Citation]) -> None:
    fact = Reason(none="x")
    assert (fact.none, fact.origin("none"), fact.path("none"), cited) == ("x", "", "none", [])


def test_a_fact_is_its_value_wherever_it_was_said(dns: Dns) -> None:
    elsewhere = read(Dns, Value(GOOD, {"": "other.yml:1:1"}), name="siteproof_dns")
    assert elsewhere == dns
    assert hash(elsewhere.names[0]) == hash(dns.names[0])
    assert pickle.loads(pickle.dumps(dns)) == dns
    assert dns.model_copy() == dns


def test_facts_are_frozen(dns: Dns) -> None:
    with pytest.raises(ValidationError):
        dns.strict = False


def test_a_family_of_models_inherits_fields_and_defaults() -> None:
    class More(Name):
        extra: int = 1

    more = read(More, Value({"name": "a", "internal": "10.0.0.1"}), name="siteproof_x")
    assert (more.kind, more.extra, more.name) == ("web", 1, "a")
    with pytest.raises(ValidationError):
        More(internal="10.0.0.1")  # type: ignore[call-arg, arg-type]


def test_reading_a_fact_cites_it(dns: Dns, cited: list[Citation]) -> None:
    assert dns.names[1].internal == IPv4Address("10.0.20.1")
    assert dns.by_port[25].from_ == "dns"
    assert [(citation.key, citation.origin) for citation in cited] == [
        ("siteproof_dns.names", "all.yml:1"),
        ("siteproof_dns.names[1].internal", "all.yml:6"),
        ("siteproof_dns.by_port", "all.yml:1"),
        ("siteproof_dns.by_port.25.from", "all.yml:9"),
    ]


def test_nothing_is_cited_when_nobody_listens(dns: Dns) -> None:
    assert CITED.get() is None
    assert dns.names[0].name == "forgejo"


def test_printing_and_comparing_cite_nothing(dns: Dns, cited: list[Citation]) -> None:
    assert dns == dns.model_copy()
    assert "forgejo" in repr(dns)
    assert dns.model_dump()["names"][0]["name"] == "forgejo"
    assert cited == []


ADDRESS = IPv4Address("10.0.20.203")
CITATIONS = [
    Citation("a", ADDRESS, "all.yml:1"),
    Citation("b", (1400, 1500), "all.yml:2"),
    Citation("c", True, "all.yml:3"),
    Citation("d", {"cp1": 5}, "all.yml:4"),
    Citation("e", "last", "all.yml:5"),
    Citation("f", (), "all.yml:6"),
]


class Unwilling:
    """Like a question that was not awaited: comparing it is an error."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("not an answer yet")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("expected", "origin"),
    [
        (ADDRESS, "all.yml:1"),
        ("10.0.20.203", "all.yml:1"),
        ({"cp1": ADDRESS, "worker1": ADDRESS}, "all.yml:1"),
        (["10.0.20.203"], "all.yml:1"),
        ((1400, 1500), "all.yml:2"),
        (1400, "all.yml:2"),
        (True, "all.yml:3"),
        (5, "all.yml:4"),
        ({"server 10.0.20.1": frozenset({ADDRESS})}, "all.yml:1"),
        ({"last": ("something that nobody declared",)}, "all.yml:5"),
        (1, None),  # 1 is not true
        ("no such thing", None),
        ({"newer": ()}, None),
        ((), None),
        (Unwilling(), None),
    ],
)
def test_the_citation_that_declares_the_expected_value_is_found(expected: object, origin: str | None) -> None:
    assert declared_at(CITATIONS, expected) == origin


def test_of_two_the_later_is_meant() -> None:
    assert declared_at([Citation("a", 5, "all.yml:1"), Citation("b", 5, "all.yml:2")], 5) == "all.yml:2"


def test_nothing_cited_nothing_declared() -> None:
    assert declared_at([], 5) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [("nmae", "name"), ("swarm-managers", "swarm_managers"), ("Name", "name"), ("zzz", None), ("", None)],
)
def test_nearest(name: str, meant: str | None) -> None:
    assert nearest(name, ["name", "swarm_managers", "internal"]) == meant
