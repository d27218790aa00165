"""What a family of facts refuses by itself, beyond types: values that contradict each other, in one sentence."""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from siteproof.errors import BadInput
from siteproof.facts import FAMILIES, PREFIX
from siteproof.facts.declared import read
from siteproof.inventory.inventory import Value

PROJECT = Path(__file__).parents[2]


@cache
def _lab() -> dict[str, Any]:
    """The lab's own facts, which contradict nothing."""
    found: dict[str, Any] = yaml.safe_load((PROJECT / "inventories/lab/group_vars/all.yml").read_text())
    return found


def family(name: str, changes: dict[str, Any]) -> None:
    """Read a family of the lab's facts with some values changed, each by its path."""
    value = copy.deepcopy(_lab()[PREFIX + name])
    for path, changed in changes.items():
        *way, last = (int(part) if part.isdigit() else part for part in path.split("/"))
        place = value
        for part in way:
            place = place[part]
        place[last] = changed
    read(FAMILIES[name], Value(value), name=PREFIX + name)


@pytest.mark.parametrize("name", ["dns", "pulls", "swarm", "edge"])
def test_the_labs_facts_are_read(name: str) -> None:
    family(name, {})


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("dns", {"clients/0/accepted_secondaries": ["198.18.53.8"]}, "`accepted_secondaries` is not among `servers`"),
        ("dns", {"clients/0/accepted_secondaries": ["10.0.20.1"]}, "not among `servers`, after the first one"),
        ("dns", {"names/0/name": "forgejo.elsewhere.example"}, "forgejo.elsewhere.example is in none of `zones`"),
        ("dns", {"control_name": "not a name"}, "not a DNS name"),
        ("edge", {"addresses/0/control": "tcp/8443"}, "`control` is not among `allow`"),
        ("edge", {"addresses/0/control": "udp/443"}, "`control` is a single TCP port"),
        ("edge", {"addresses/0/allow": ["443"]}, "a service is written `tcp/443`"),
        ("edge", {"addresses/0/allow": ["tcp/443-80"]}, "the lower one first"),
        ("swarm", {"pins/0/overlay": "proxi"}, "`pins` speaks of proxi, which is not among `overlays`"),
        ("swarm", {"leaks/0/overlay": "proxi"}, "`leaks` speaks of proxi, which is not among `overlays`"),
        ("swarm", {"canaries/0/overlay": "proxi"}, "`canaries` speaks of proxi, which is not among `overlays`"),
        ("swarm", {"checkouts/0/authors": []}, "checkouts[0].authors"),
        ("pulls", {"groups/0/images": ["busybox:1.37"]}, "write the image's whole name"),
    ],
)
def test_what_contradicts_itself_is_refused(name: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        family(name, changes)
    assert sentence in str(refused.value)
    assert f"{PREFIX}{name}" in str(refused.value)


def test_secondaries_may_be_accepted() -> None:
    family(
        "dns", {"clients/0/servers": ["10.0.20.1", "198.18.53.8"], "clients/0/accepted_secondaries": ["198.18.53.8"]}
    )


def test_a_family_is_found_where_it_stands() -> None:
    """No list has it: whoever adds a module adds its families."""
    folder = PROJECT / "src/siteproof/facts"
    sources = [file.read_text() for file in folder.glob("*.py")]
    written = {name for source in sources for name in re.findall(r"(?m)^class (\w+)\(Family\)", source)}
    assert {family.__name__ for family in FAMILIES.values()} == written
    assert list(FAMILIES) == sorted(FAMILIES, key=lambda name: (FAMILIES[name].place, name))
