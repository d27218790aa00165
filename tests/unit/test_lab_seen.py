"""What a site was seen on: versions as tools say them, and the way from a result to the tools that it asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.seen import of_tools, seen, short


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("cat (GNU coreutils) 9.1", "9.1"),
        ("DiG 9.18.49-1~deb12u3-Debian", "9.18.49"),
        ("BusyBox v1.30.1 (Debian 1:1.30.1-6+b3) multi-call binary.", "BusyBox 1.30.1"),
        ("cat (uutils coreutils) 0.0.30", "uutils 0.0.30"),
        ("ip utility, iproute2-6.1.0, libbpf 1.1.2", "6.1.0"),
        ("ping from iputils 20250605", "20250605"),
        ("cat 0.0.30", "uutils 0.0.30"),
        ("Docker version 29.8.0+moby.v2.0.0-beta.24, build 1", "29.8.0+moby.v2.0.0-beta.24"),
    ],
)
def test_a_version_is_the_number_and_who_made_it_where_one_makes_many_tools(said: str, version: str) -> None:
    assert short(said) == version


def written(directory: Path, **changed: object) -> Path:
    (directory / "evidence").mkdir()
    asked = {"kind": "Command", "key": "k1", "question": {"tools": ["dig", "drill"]}}
    (directory / "evidence/cp1.jsonl").write_text(json.dumps(asked) + "\n")
    hosts = [{"name": "cp1", "versions": {"dig": "DiG 9.18.49", "drill": None}}]
    hosts += [{"name": "cp2", "versions": {"dig": "DiG 9.16.5", "drill": None}}]
    evidence = [{"host": host, "key": "k1"} for host in ("cp1", "cp2")]
    results = [
        {"id": "dns-names", "verdict": "held", "evidence": evidence},
        {"id": "dns-other", "verdict": "unknown", "evidence": evidence},
    ]
    (directory / "report.json").write_text(json.dumps({"hosts": hosts, "results": results} | changed))
    return directory / "report.json"


def test_a_held_check_is_seen_on_the_tools_that_its_evidence_asks(tmp_path: Path) -> None:
    found = seen(written(tmp_path))
    assert found == {"dns-names": {"dig": ["9.16.5", "9.18.49"]}}
    assert of_tools(found) == {"dig": ["9.16.5", "9.18.49"]}


def test_a_report_that_does_not_say_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="does not say what was seen"):
        seen(written(tmp_path, results=[{"id": "x", "verdict": "held"}]))
