"""One line of `results.jsonl` a run. Nothing in it names a machine or a path."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.designs import Setting

RESULTS = Path(__file__).parent / "results.jsonl"
_PACKAGES = ("siteproof", "pytest", "pytest-testinfra", "pytest-xdist", "paramiko", "ansible-core")


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory_gb": round(memory / 1e9), "kernel": platform.release().partition("-")[0]}


def versions() -> dict[str, str]:
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    openssh = re.search(r"OpenSSH_([\w.]+)", said)
    found = {"python": platform.python_version(), "openssh": openssh[1] if openssh else "unknown"}
    return found | {package: version(package) for package in _PACKAGES}


def append(result: dict[str, Any]) -> None:
    line = {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"), "machine": machine(), "versions": versions()} | result
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")


def last_settings() -> dict[str, Setting]:
    """The best settings as the last run found them."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    compared = [designs for line in lines if (designs := json.loads(line).get("designs"))]
    return {name: Setting.read(one["setting"]) for name, one in compared[-1].items()} if compared else {}
