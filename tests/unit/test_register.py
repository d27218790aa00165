"""The register is made from the code, and every check is proven or says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from siteproof.errors import BadInput
from siteproof.facts import Node
from siteproof.invariants import SeenCheck, invariant, of, probes_of
from siteproof.previews.register import entries, unproven
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


def test_a_check_that_no_fault_names_is_said(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    checks = {"mtu": declared()}
    faults.write_text('[tools]\nexpect = { "*" = "unknown" }\n')
    assert len(unproven(entries(checks, [faults]))) == 1
    faults.write_text('[mtu-1500]\nexpect = { "mtu[cp1]" = "violated" }\n')
    found = entries(checks, [faults])
    assert unproven(found) == []
    assert unproven(found, {"faults": [{"id": "mtu-1500", "ok": True}]}) == []
    assert len(unproven(found, {"faults": [{"id": "mtu-1500", "ok": False}]})) == 1


def test_a_fault_that_names_no_check_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text('[mtu-1500]\nexpect = { "mtuu[cp1]" = "violated" }\n')
    with pytest.raises(BadInput, match="mtuu"):
        entries({"mtu": declared()}, [tmp_path / "faults.toml"])
