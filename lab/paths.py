"""Where the lab keeps things: one home for builds and runs, one directory per running lab."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lab.errors import UsageError

PROJECT = Path(__file__).parent.parent
FIRST = "lab"
"""The site that is meant where none is named. The suite's inventory of a site is inventories/SITE."""
CGROUP_ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


def home() -> Path:
    configured = os.environ.get("SITEPROOF_LAB_HOME")
    return Path(configured).absolute() if configured else Path.home() / ".cache" / "siteproof-lab"


def lab_name(given: str | None = None, site: str = FIRST) -> str:
    """What is given, else what the environment says, else the site's: two sites are two labs."""
    environment = os.environ.get("SITEPROOF_LAB")
    name = given or (f"{environment}-{site}" if environment and site != FIRST else environment or site)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise UsageError(f"{name!r} cannot be the name of a lab: lower-case letters, digits and dashes")
    return name


def run_dir(name: str) -> Path:
    return home() / "run" / name


def cgroup(name: str) -> Path:
    """The lab's own directory in the version 2 hierarchy, which a hybrid machine mounts beside version 1's."""
    for root in CGROUP_ROOTS:
        if (root / "cgroup.controllers").exists():
            return root / f"siteproof-lab-{name}"
    raise UsageError("this machine has no cgroup version 2 hierarchy mounted under /sys/fs/cgroup")
