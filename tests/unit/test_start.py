"""How a run starts: with nothing that only asking or writing needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CHECKS = sorted(path.stem for path in (PROJECT / "tests_infra").glob("test_*.py"))
LATER = (
    "paramiko",
    "invoke",
    "cryptography",
    "requests",
    "urllib3",
    "dns",
    "jinja2",
    "junitparser",
    "ansible",
    "siteproof.probes.swarm.documents",
)
"""What takes long to import, or opens connections, and is of no use to who only looks."""


def imported(code: str) -> list[str]:
    """Those of LATER that a new process has imported after `code`."""
    line = f"{code}; import sys; print(*(name for name in {LATER!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", line], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_plugin_brings_nothing_that_only_asking_needs() -> None:
    assert imported("import siteproof.plugin.hooks") == []


def test_nor_do_the_checks_and_their_probes() -> None:
    assert imported(f"import sys; sys.path.insert(0, 'tests_infra'); import {', '.join(CHECKS)}") == []


def test_no_model_is_built_before_something_is_read_with_it() -> None:
    """A fact's, or an answer's: what a model is a part of builds it once more."""
    code = """
import sys; sys.path.insert(0, "tests_infra")
import siteproof.plugin.hooks, test_swarm
from pydantic import BaseModel
def below(kind): return {kind}.union(*map(below, kind.__subclasses__()))
print(*(m.__name__ for m in below(BaseModel) if m.__module__.startswith("siteproof.") and m.__pydantic_complete__))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_run_that_looks_at_hosts_leaves_hypothesis_alone() -> None:
    code = f"""
import sys, pytest
pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "--hosts={PROJECT}/inventories/lab", "tests_infra"])
print("imported:", "hypothesis" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("imported: False\n"), done.stdout


@pytest.mark.parametrize(
    ("module", "brings"),
    [
        ("siteproof.gather.local", {"paramiko", "cryptography"}),
        ("siteproof.transport.streams.http_stream", {"requests", "urllib3"}),
        ("siteproof.transport.streams.dns_stream", {"dns"}),
        ("siteproof.probes.names.message", {"dns"}),
        ("siteproof.report.junit", {"junitparser"}),
        ("siteproof.probes.swarm.documents.nodes", {"siteproof.probes.swarm.documents"}),
        ("siteproof.inventory.ansible.reader", {"ansible", "jinja2"}),
    ],
)
def test_it_is_seen_where_it_is_brought(module: str, brings: set[str]) -> None:
    assert brings <= set(imported(f"import {module}"))


def test_the_gatherer_that_connects_is_imported_by_its_name() -> None:
    assert "paramiko" in imported("from siteproof.gather import LocalGatherer")
    with pytest.raises(ImportError, match="Nobody"):
        from siteproof.gather import Nobody  # noqa: F401
