"""shellcheck over every script that a host is sent: `python tests/security/shell_scripts.py`.

Those of the probes are made as the tests make them, with a good value for each argument, so that what Python puts
together is looked at as it goes out; beside them the batch that carries them, and what else runs there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unit")]

from test_hostile_values import PROBES, asked, good_arguments  # noqa: E402

from siteproof.asks import Command  # noqa: E402
from siteproof.probes.common import versions  # noqa: E402
from siteproof.transport import batch, identity, shell  # noqa: E402
from siteproof.transport.backends import backend_session, process  # noqa: E402
from siteproof.transport.connection import Connection  # noqa: E402

EXCEPTED = {
    "SC2016": "what is in single quotes is for another shell, awk or docker to read",
    "SC2153": "ROOT, NONCE and DEADLINE are the batch's, see `Command`",
    "SC2317": "a function that is called by a trap, or by the script after it",
    "SC2329": "the same",
}
GIVEN = "# shellcheck shell=sh\nROOT='sudo -n' NONCE=0123456789ab DEADLINE=5\nexport ROOT NONCE DEADLINE\n"
"""What a command finds set."""


def scripts() -> Iterator[tuple[str, str]]:
    """Name and text of each, once."""
    seen: dict[str, str] = {}
    for name in sorted(PROBES):
        for question in asked(name, good_arguments(name)):
            if isinstance(question, Command):
                seen.setdefault(question.script, name)
    for script, name in seen.items():
        yield name, f"{GIVEN}{batch._NEED}{script}\n"
    host = Connection(name="host", address="192.0.2.1", expected_hostname="h", expected_machine_id="0" * 32)
    yield "identity", f"{GIVEN}{identity.question(host).script}\n"
    yield "versions", f"{GIVEN}{versions.question('host', 1, versions.says()).script}\n"
    command = Command("host", "true", 5, "reads", "true", root=True)
    run = batch.RunContext("0123456789ab")
    for sudo, stop in product(("sudo -n", "no_sudo", ""), (True, False)):
        made = batch.script([command, command], nonce="0" * 32, run=run, sudo=sudo, stop_unless_first=stop)
        yield f"batch, {sudo or 'as root'}{', stop' if stop else ''}", f"# shellcheck shell=sh\n{made.decode()}"
    yield "root's shell", f"# shellcheck shell=sh\n{shell.RootPrompt().line}\n"
    yield "end of a tree", f"# shellcheck shell=sh\n{process._END_TREE} end 1\n"
    yield "no orphans", f"# shellcheck shell=sh\n{backend_session._NO_ORPHANS.decode()}\ntimeout 1 true\n"


def main() -> int:
    """shellcheck's status."""
    with tempfile.TemporaryDirectory() as directory:
        files = []
        for number, (name, text) in enumerate(scripts()):
            files.append(Path(directory) / f"{number:02d}-{name.replace(' ', '-').replace(',', '')}.sh")
            files[-1].write_text(text)
        line = ["shellcheck", "--norc", "--severity=style", f"--exclude={','.join(EXCEPTED)}", *map(str, files)]
        done = subprocess.run(line, cwd=directory, check=False)
    print(f"shellcheck: {len(files)} scripts", "are well" if done.returncode == 0 else "looked at")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
