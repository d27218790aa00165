"""What both projects ask of a host, read from their own text."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
SITEPROOF = HERE / "siteproof_project"
TESTINFRA = HERE / "testinfra_project"
CHECKS = 25
COMMANDS = 35


def commands(source: Path) -> list[str]:
    """The commands of a file of checks, in no particular order."""
    text = source.read_text()
    single = re.findall(r'(?:said\(node, |host\.check_output\()"([^"]+)"\)', text)
    paths = re.findall(r'owner_and_mode\(\w+, "([^"]+)"\)', text)
    return [*single, *(f"stat -c {what} {path}" for path in paths for what in ("%U", "%a"))]
