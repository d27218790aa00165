"""Makes what every lab of a site stands on, once: base root filesystems, assets, and the programs Debian lacks.

What a host can rely on in a base: nothing is enabled but ssh and what systemd itself needs (a host enables the
daemons it runs), and there is no machine-id, hostname, resolv.conf or SSH host key. The user `siteproof` (uid 1500)
may become root without a password. The hosts trust nobody until `assets/ca-certificates.crt` is put into
/etc/ssl/certs/.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.build import binaries, cache, certificates, golang, machine, registry, rootfs
from lab.build.errors import BuildError
from lab.build.wanted import OWN, Image, Wanted

__all__ = ["OWN", "BuildError", "Built", "Image", "Wanted", "build", "built"]

# A file of this many bytes, for the transfers whose segments are looked at.
WEB_FILE = ("1MiB", 1 << 20)
REGISTRY_PART = "registry content"


@dataclass(frozen=True)
class Built:
    """Where the parts are. All of it is shared by every lab of this user: read it, never write to it."""

    bases: Mapping[str, Path]
    """By name."""
    assets: Path
    bin: Mapping[str, Path]
    """By program: the file."""

    @property
    def base(self) -> Path:
        """The machine's own release."""
        return self.bases[OWN]

    @property
    def whole(self) -> bool:
        programs = (program.parent for program in self.bin.values())
        return all(path.is_dir() for path in (*self.bases.values(), self.assets, *programs))


def build(wanted: Wanted, progress: Callable[[str], None]) -> Built:
    """Make what is missing. Safe to kill at any moment and to call again."""
    found = built(wanted)
    if found:
        return found
    here = machine.this_machine()
    machine.require_debian(here)
    machine.require_root(machine.missing_packages())
    mask = os.umask(0o022)
    places = _places(wanted, here)
    try:
        with cache.locked(progress):
            if not places.whole:  # another build may have made it while this one waited
                _make_missing(wanted, places, here, progress)
    except OSError as error:
        raise BuildError(f"the lab's parts cannot be written: {error}") from error
    finally:
        os.umask(mask)
    return places


def built(wanted: Wanted) -> Built | None:
    """What is there for the current inputs; nothing is made."""
    places = _places(wanted, machine.this_machine())
    return places if places.whole else None


def _places(wanted: Wanted, here: machine.Machine) -> Built:
    if not wanted.bases:
        raise BuildError("a site has hosts, and these a base")
    assets = {
        "certificates": certificates.inputs(wanted),
        "registry": registry.inputs(wanted.images),
        "web": WEB_FILE,
        "busybox": cache.digest(rootfs.inputs(_of_busybox(wanted), here)),
    }
    return Built(
        {name: rootfs.place(name, here) for name in sorted(wanted.bases)},
        cache.place("assets", assets),
        binaries.places(wanted.programs, here.architecture),
    )


def _of_busybox(wanted: Wanted) -> str:
    """Whose busybox the images have. It is a static one: which does not matter to any host."""
    return min(wanted.bases)


def _make_missing(wanted: Wanted, places: Built, here: machine.Machine, progress: Callable[[str], None]) -> None:
    # Not at the top: a build that finds everything there must not pay for importing what it does not use.
    from lab.build.parts import Part, run
    from lab.build.processes import Commands

    cache.sweep(keep=binaries.kept(places.bin))
    commands = Commands(cache.home() / "log")
    packages = machine.missing_packages()
    if binaries.needs_venv(places.bin):
        packages.append("python3-venv")
    if packages:
        machine.install(commands, packages, progress)

    parts = binaries.parts(commands, places.bin)
    for name, base in places.bases.items():
        if not base.is_dir():
            parts.append(Part(rootfs.part(name), partial(rootfs.make, commands, name, here, base)))
    if not places.assets.is_dir():
        unfinished = cache.unfinished(places.assets)
        unfinished.mkdir()
        parts.append(Part(certificates.PART, lambda: certificates.make(commands, wanted, unfinished)))
        parts.append(
            Part(
                REGISTRY_PART,
                lambda: _fill(unfinished, wanted, places, here.architecture),
                after=(rootfs.part(_of_busybox(wanted)), certificates.PART),
            )
        )
    run(parts, commands, progress)
    cache.remove(golang.scratch())


def _fill(into: Path, wanted: Wanted, places: Built, architecture: str) -> None:
    name, size = WEB_FILE
    (into / "web").mkdir()
    (into / "web" / name).write_bytes(registry.filler(name, size))
    busybox = places.bases[_of_busybox(wanted)] / "bin/busybox"
    registry.fill(into, wanted.images, architecture, busybox.read_bytes())
    cache.publish(into, places.assets)
