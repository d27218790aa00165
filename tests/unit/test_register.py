"""The register is made from the code, and every check is proven or says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab import topology
from lab.faults import load, matches
from lab.following import read_register
from siteproof.errors import BadInput
from siteproof.facts import Node
from siteproof.invariants import SeenCheck, invariant, of, probes_of
from siteproof.previews.register import Proofs, ask_lab, entries, unproven
from siteproof.probes.path.ip import default_link

ROOT = Path(__file__).parents[2]


def register(file: Path) -> None:
    environment = {**os.environ, "ANSIBLE_INVENTORY": ""}
    line = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    line += ["--hosts=inventories/lab", f"--register={file}"]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_written_register_is_the_one_of_the_code(tmp_path: Path) -> None:
    register(tmp_path / "invariants.md")
    assert (tmp_path / "invariants.md").read_text() == (ROOT / "docs/invariants.md").read_text(), (
        "docs/invariants.md is stale: pytest --hosts=inventory --register=docs/invariants.md"
    )


def test_every_check_has_a_fault_or_says_why_not(tmp_path: Path) -> None:
    register(tmp_path / "register.json")
    found = json.loads((tmp_path / "register.json").read_text())
    assert [entry["id"] for entry in found if not entry["faults"] and not entry["unproven_because"]] == []
    assert all(entry["asks"] and entry["incident"] and entry["remedy"] for entry in found)


def test_every_check_has_a_witness_or_says_why_not(tmp_path: Path) -> None:
    register(tmp_path / "register.json")
    found = json.loads((tmp_path / "register.json").read_text())
    assert [e["id"] for e in found if bool(e["witness"]) == bool(e["unwitnessed_because"])] == []


@invariant("mtu", family="link", severity="high", incident="i", remedy="r")
async def check_mtu(node: Node) -> None:
    assert await helper(node)


async def helper(node: Node) -> bool:
    link = await default_link(node.host)
    return [m for m in (link.mtu,) if m] != []


def declared() -> SeenCheck:
    found = of(check_mtu)
    assert found is not None
    return SeenCheck(found, "t.py::check_mtu", probes_of(check_mtu))


def test_what_a_check_asks_is_read_from_its_code() -> None:
    assert probes_of(check_mtu) == ("default_link",)


def lab(tmp_path: Path, says: object, status: int = 0) -> list[str]:
    """A command that says `says` of its faults, and keeps what it was given."""
    script = tmp_path / "lab.py"
    said = says if isinstance(says, str) else json.dumps({"faults": says})
    script.write_text(
        "import pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'given.json')!r}).write_text(sys.stdin.read())\n"
        f"print({said!r}, file=sys.stderr if {status} else sys.stdout)\n"
        f"sys.exit({status})\n"
    )
    return ["python", str(script)]


def proofs(tmp_path: Path, *faults: dict[str, object], checks: dict[str, SeenCheck] | None = None) -> Proofs:
    return ask_lab(lab(tmp_path, faults), checks or {"mtu": declared()}, tmp_path)


TOOLS: dict[str, object] = {"id": "tools", "expected": {"mtu[cp1]": "unknown"}, "edges": []}
MTU: dict[str, object] = {"id": "mtu-1500", "expected": {"mtu[cp1]": "violated"}, "edges": []}


def test_a_check_that_no_fault_names_is_said(tmp_path: Path) -> None:
    checks = {"mtu": declared()}
    said = proofs(tmp_path, TOOLS)
    assert len(unproven(entries(checks, said), said)) == 1
    said = proofs(tmp_path, TOOLS, MTU)
    found = entries(checks, said)
    assert found[0].faults == ("mtu-1500",)
    assert unproven(found, said) == []
    assert unproven(found, said, {"faults": [{"id": "mtu-1500", "ok": True}]}) == []
    assert len(unproven(found, said, {"faults": [{"id": "mtu-1500", "ok": False}]})) == 1


def test_an_edge_that_no_fault_exercises_is_said(tmp_path: Path) -> None:
    root = declared()
    follower = SeenCheck(replace(root.invariant, id="reach", follows=("mtu",)), "t.py::check_reach", ("ping",))
    checks = {"mtu": root, "reach": follower}
    both: dict[str, object] = {
        "id": "both",
        "expected": {"mtu[cp1]": "violated", "reach[cp1]": "violated"},
        "edges": [],
    }
    said = proofs(tmp_path, both, checks=checks)
    assert unproven(entries(checks, said), said) == [
        "reach: that it follows from mtu is shown by no fault: none violates both"
    ]
    said = proofs(tmp_path, {**both, "edges": [["mtu", "reach"]]}, checks=checks)
    assert unproven(entries(checks, said), said) == []
    del checks["mtu"]
    assert unproven(entries(checks, said), said) == ["reach: it follows from mtu, which no check is called"]


def test_an_edge_of_a_check_that_the_lab_cannot_violate_needs_no_fault(tmp_path: Path) -> None:
    root = declared()
    trend = replace(root.invariant, id="trend", follows=("mtu",), unproven_because="it takes days")
    checks = {"mtu": root, "trend": SeenCheck(trend, "t.py::check_trend", ("ping",))}
    said = proofs(tmp_path, MTU, checks=checks)
    assert unproven(entries(checks, said), said) == []


def test_the_lab_is_given_the_checks_with_what_they_look_at(tmp_path: Path) -> None:
    seen = replace(declared(), subjects=(("cp1-a", "cp1", ()), ("fleet", None, ("cp1", "cp2"))))
    proofs(tmp_path, checks={"mtu": seen})
    (given,) = json.loads((tmp_path / "given.json").read_text())
    assert given["id"] == "mtu"
    assert given["subjects"] == [
        {"subject": "cp1-a", "host": "cp1", "among": []},
        {"subject": "fleet", "host": None, "among": ["cp1", "cp2"]},
    ]


def test_where_there_is_no_lab_there_are_no_faults(tmp_path: Path) -> None:
    assert ask_lab([], {"mtu": declared()}, tmp_path) == Proofs({}, frozenset())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (lambda path: lab(path, "lab: mtu-1500: roots: mtuu[cp1] names no result", 3), "mtuu.cp1. names no result"),
        (lambda path: lab(path, "", 3), "ended with 3 and said nothing"),
        (lambda path: lab(path, "Usage: lab"), "no list of faults"),
        (lambda path: lab(path, [{"id": "a"}]), "no list of faults"),
        (lambda path: [str(path / "nothing")], "No such file"),
    ],
)
def test_a_lab_that_does_not_say_its_faults_is_refused(
    tmp_path: Path, command: Callable[[Path], list[str]], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        ask_lab(command(tmp_path), {"mtu": declared()}, tmp_path)


def test_the_real_lab_refuses_a_fault_that_names_no_check() -> None:
    command = ["python", "-m", "lab", "faults", "--json", "--register", "-"]
    with pytest.raises(BadInput, match="roots: .* names no result"):
        ask_lab(command, {"mtu": replace(declared(), subjects=(("cp1", "cp1", ()),))}, ROOT)


def test_what_the_site_excepts_would_come_along_with_some_fault(tmp_path: Path) -> None:
    register(tmp_path / "register.json")
    plan, known = read_register(str(tmp_path / "register.json")), load(topology.load())
    without = [fault.expected(plan).verdicts for fault in known.by_id.values()]
    excepted = [fault.expected(plan, known.site).verdicts for fault in known.by_id.values()]
    back = {key for a, b in zip(without, excepted, strict=True) for key in a.keys() - b.keys()}
    assert [pattern for pattern in known.site if not any(matches(key, pattern) for key in back)] == []
