"""Replace tools on a host by scripts that do no work, and bring the tools back.

Done from outside with mounts over the tools' files, so that nothing on the host has to work for it, and the tools
themselves are never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from lab import kernel, paths
from lab.enter import command_on
from lab.errors import LabError
from lab.hosts import python_line
from lab.state import State

SCRIPTS = {
    "print-help": '#!/bin/sh\necho "Usage: ${0##*/} [OPTIONS] COMMAND"\necho\n'
    'echo "Options:"\necho "  -h, --help   show this help and exit"\n',
    "print-nothing": "#!/bin/sh\nexit 0\n",
    "exit-1": "#!/bin/sh\nexit 1\n",
}
KEPT = "/run/siteproof-lab-replays"
"""On a host: the tools themselves, what they have said, and which of them says it again."""
# Keeps what the tool says, by its words, while nobody lies; says it again where it is the liar. What a tool is asked in
# words that were never kept, such as this run's own, it answers itself.
REPLAY = f"""\
#!/bin/sh
home={KEPT}
name=${{0##*/}}
key=$(printf '%s\\0' "$name" "$@" | sha256sum)
kept=$home/kept/${{key%% *}}
liar=
[ ! -e $home/liar ] || read -r liar <$home/liar
if [ "$liar" = "$name" ] && [ -e "$kept" ]; then
    cat "$kept.out"
    cat "$kept.err" >&2
    read -r status <"$kept"
    exit "$status"
fi
[ -z "$liar" ] || exec "$home/real/$name" "$@"
"$home/real/$name" "$@" >"$kept.out.$$" 2>"$kept.err.$$"
status=$?
cat "$kept.out.$$"
cat "$kept.err.$$" >&2
mv "$kept.out.$$" "$kept.out"
mv "$kept.err.$$" "$kept.err"
echo "$status" >"$kept.$$"
mv "$kept.$$" "$kept"
exit "$status"
"""
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


def keep_answers(state: State, host: str, tools: Collection[str]) -> None:
    """Put a script over each of `tools` that is there, which keeps what the tool says and may say it again (`lie`)."""
    bring_back(state, host)
    wanted = sorted(tools)
    made = f"cd {KEPT}; mkdir -p real kept; chmod 1777 . kept; cd real; touch {shlex.join(wanted)}"
    if command_on(state, host, ["sh", "-ec", f"mkdir -p {KEPT}; {made}"]).returncode:
        raise LabError(f"nothing can be kept on {host}")
    script = paths.run_dir(state.name) / "shims" / "replay"
    script.parent.mkdir(exist_ok=True)
    script.write_text(REPLAY)
    script.chmod(0o755)
    _inside({"pid": state.hosts[host].pid, "script": str(script), "cover": wanted, "real": KEPT}, host)


def lie(state: State, tool: str | None) -> None:
    """From now on `tool` says on every host what it has said before; None: each says what is so."""
    for host in state.hosts:
        if any(target.startswith(KEPT) for target in _covered(state, host)):
            said = f"echo {shlex.quote(tool or 'nobody')} >{KEPT}/liar"
            if command_on(state, host, ["sh", "-c", said]).returncode:
                raise LabError(f"{tool} could not be made a liar on {host}")


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
        ours = tuple(f"/{state.name}/shims/{kind}" for kind in (*SCRIPTS, "replay"))
        if origin.endswith(ours) or target.startswith(f"{KEPT}/real/"):
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
    found: dict[str, Path] = {}
    for tool in cover:
        for directory in DIRECTORIES:
            with contextlib.suppress(OSError):
                found[tool] = Path(directory, tool).resolve(strict=True)
                break
    if "real" in spec:
        _keep_real(Path(spec["real"]), found)
    done = set()
    for tool, tree in zip(cover, scripts, strict=True):
        if tool in found and found[tool] not in done:
            done.add(found[tool])
            kernel.move_mount(tree, str(found[tool]))


def _keep_real(home: Path, tools: Mapping[str, Path]) -> None:
    """The tools themselves in another place, under the names that they are called by: some go by theirs."""
    for tool, path in tools.items():
        tree = kernel.open_tree(str(path))
        kernel.mount_setattr(tree, propagation=kernel.MS_PRIVATE)  # or what covers the tool covers this too
        kernel.move_mount(tree, str(home / "real" / tool))


if __name__ == "__main__":
    main()
