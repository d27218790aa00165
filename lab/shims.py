"""Replace tools on a host by scripts that do no work, and bring the tools back.

Done from outside with mounts over the tools' files, so that nothing on the host has to work for it, and the tools
themselves are never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from lab import kernel, paths
from lab.errors import LabError
from lab.hosts import python_line
from lab.state import State

SCRIPTS = {
    "print-help": '#!/bin/sh\necho "Usage: ${0##*/} [OPTIONS] COMMAND"\necho\n'
    'echo "Options:"\necho "  -h, --help   show this help and exit"\n',
    "print-nothing": "#!/bin/sh\nexit 0\n",
    "exit-1": "#!/bin/sh\nexit 1\n",
}
DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# What the shell does itself, and the shell.
NOT_FILES = (
    ": . [ alias bg break cd command continue echo eval exec exit export false fg getopts hash jobs kill local printf "
    "pwd read readonly return set sh shift test times trap true type ulimit umask unalias unset wait"
)


def replace(state: State, host: str, tools: Collection[str], kind: str) -> None:
    """Put a script over each of `tools`; one that is not installed there is broken enough."""
    bring_back(state, host)
    script = paths.run_dir(state.name) / "shims" / kind
    script.parent.mkdir(exist_ok=True)
    script.write_text(SCRIPTS[kind])
    script.chmod(0o755)
    wanted = sorted(set(tools) - set(NOT_FILES.split()))
    _inside({"pid": state.hosts[host].pid, "script": str(script), "cover": wanted}, host)


def bring_back(state: State, host: str) -> None:
    covered = _covered(state, host)
    if covered:
        _inside({"pid": state.hosts[host].pid, "uncover": covered}, host)
        left = _covered(state, host)
        if left:
            raise LabError(f"on {host}, these tools could not be brought back: {', '.join(left)}")


def _covered(state: State, host: str) -> list[str]:
    """Where our scripts are mounted, by what the kernel says of the mounts' origin; the last mounted first."""
    found = []
    for line in Path(f"/proc/{state.hosts[host].pid}/mountinfo").read_text().splitlines():
        _, _, _, origin, target, *_ = line.split()
        # The origin is counted from the root of its file system, of which the lab's home may be only a part.
        if origin.endswith(tuple(f"/{state.name}/shims/{kind}" for kind in SCRIPTS)):
            found.append(target)
    return found[::-1]


def _inside(spec: dict[str, object], host: str) -> None:
    line = python_line("shims", json.dumps(spec))
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise LabError(f"the tools on {host} could not be changed: {said[-1]}")


def main() -> None:
    """In a process of its own, which moves into the host's mount namespace and does the mounts."""
    spec = json.loads(sys.argv[1])
    cover: list[str] = spec.get("cover", [])
    scripts = [kernel.open_tree(spec["script"]) for _ in cover]
    namespace = os.open(f"/proc/{spec['pid']}/ns/mnt", os.O_RDONLY)
    kernel.setns(namespace, kernel.CLONE_NEWNS)
    for path in spec.get("uncover", []):
        kernel.umount(path, kernel.MNT_DETACH)
    done = set()
    for tool, tree in zip(cover, scripts, strict=True):
        for directory in DIRECTORIES:
            with contextlib.suppress(OSError):
                path = Path(directory, tool).resolve(strict=True)
                if path not in done:
                    done.add(path)
                    kernel.move_mount(tree, str(path))
                break


if __name__ == "__main__":
    main()
