"""Makes what every lab stands on, once: the base root filesystem, the assets and the programs Debian lacks.

What a host can rely on in the base: nothing is enabled but ssh and what systemd itself needs (a host enables the
daemons it runs), and there is no machine-id, hostname, resolv.conf or SSH host key. The user `siteproof` (uid 1500)
may become root without a password. The hosts trust nobody until `assets/ca-certificates.crt` is put into
/etc/ssl/certs/.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.build import binaries, cache, certificates, machine, registry, rootfs
from lab.build.errors import BuildError

__all__ = ["BuildError", "Built", "build", "built"]

# A file of this many bytes, for the transfers whose segments are looked at.
WEB_FILE = ("1MiB", 1 << 20)
REGISTRY_PART = "registry content"


@dataclass(frozen=True)
class Built:
    """Where the parts are. All of it is shared by every lab of this user: read it, never write to it."""

    base: Path
    assets: Path
    bin: Path


def build(progress: Callable[[str], None]) -> Built:
    """Make what is missing. Safe to kill at any moment and to call again."""
    found = built()
    if found:
        return found
    here = machine.this_machine()
    machine.require_debian(here)
    machine.require_root(machine.missing_packages())
    mask = os.umask(0o022)
    try:
        with cache.locked(progress):
            if built() is None:  # another build may have made it while this one waited
                _make_missing(_places(here), here, progress)
    except OSError as error:
        raise BuildError(f"the lab's parts cannot be written: {error}") from error
    finally:
        os.umask(mask)
    return _places(here)


def built() -> Built | None:
    """What is there for the current inputs; nothing is made."""
    places = _places(machine.this_machine())
    return places if all(p.is_dir() for p in (places.base, places.assets, places.bin)) else None


def _places(here: machine.Machine) -> Built:
    base = rootfs.inputs(here)
    assets = {
        "certificates": certificates.inputs(),
        "registry": registry.inputs(),
        "web": WEB_FILE,
        # The images' busybox is the base's.
        "base": cache.digest(base),
    }
    return Built(
        cache.place("base", base),
        cache.place("assets", assets),
        cache.place("bin", binaries.inputs(here.architecture)),
    )


def _make_missing(places: Built, here: machine.Machine, progress: Callable[[str], None]) -> None:
    # Not at the top: a build that finds everything there must not pay for importing what it does not use.
    from lab.build.parts import Part, run
    from lab.build.processes import Commands

    cache.sweep(keep=cache.unfinished(places.bin))
    commands = Commands(cache.home() / "log")
    packages = machine.missing_packages()
    if not places.bin.is_dir() and binaries.needs_venv(places.bin):
        packages.append("python3-venv")
    if packages:
        machine.install(commands, packages, progress)

    parts: list[Part] = []
    if not places.bin.is_dir():
        cache.unfinished(places.bin).mkdir(exist_ok=True)
        for program in binaries.missing(places.bin):
            parts.append(Part(program, partial(binaries.MAKERS[program], commands, places.bin)))
    if not places.base.is_dir():
        parts.append(Part(rootfs.PART, lambda: rootfs.make(commands, here, places.base)))
    if not places.assets.is_dir():
        unfinished = cache.unfinished(places.assets)
        unfinished.mkdir()
        parts.append(Part(certificates.PART, lambda: certificates.make(commands, unfinished)))
        parts.append(
            Part(
                REGISTRY_PART,
                lambda: _fill(unfinished, places, here.architecture),
                after=(rootfs.PART, certificates.PART),
            )
        )
    run(parts, commands, progress)
    if not places.bin.is_dir():
        binaries.finish(places.bin)


def _fill(into: Path, places: Built, architecture: str) -> None:
    name, size = WEB_FILE
    (into / "web").mkdir()
    (into / "web" / name).write_bytes(registry.filler(name, size))
    registry.fill(into, architecture, (places.base / "bin/busybox").read_bytes())
    cache.publish(into, places.assets)
