"""How a run starts: with nothing that only asking or writing needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LATER = ("paramiko", "invoke", "cryptography", "requests", "urllib3", "dns", "jinja2", "ansible")
"""What takes long to import, or opens connections, and is of no use to who only looks."""


def imported(code: str) -> list[str]:
    """Those of LATER that a new process has imported after `code`."""
    line = f"{code}; import sys; print(*(name for name in {LATER!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", line], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_plugin_brings_nothing_that_only_asking_needs() -> None:
    assert imported("import siteproof.plugin.hooks") == []


@pytest.mark.parametrize(
    ("module", "brings"),
    [
        ("siteproof.gather.local", {"paramiko", "cryptography"}),
        ("siteproof.transport.streams.http_stream", {"requests", "urllib3"}),
        ("siteproof.transport.streams.dns_stream", {"dns"}),
        ("siteproof.inventory.ansible.reader", {"ansible", "jinja2"}),
    ],
)
def test_it_is_seen_where_it_is_brought(module: str, brings: set[str]) -> None:
    assert brings <= set(imported(f"import {module}"))


def test_the_gatherer_that_connects_is_imported_by_its_name() -> None:
    assert "paramiko" in imported("from siteproof.gather import LocalGatherer")
    with pytest.raises(ImportError, match="Nobody"):
        from siteproof.gather import Nobody  # noqa: F401
