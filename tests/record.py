"""Turn what a host answered into a recording, so that it becomes a test: a new parser case is a new file.

From the evidence of a run:

    python tests/record.py nft-1.1.3-fritz 'nft_forwards("edge")' --run reports/latest

or asked now, through any command that runs the sh script on its stdin on the host (`--before` is sh that is run first,
e.g. to load a ruleset into a network namespace made for it):

    python tests/record.py nft-1.1.3-maps 'nft_forwards("edge")' \\
        --through 'python3 -m lab exec edge -- unshare -n sh -s' --before 'nft add table ip nat'
    python tests/record.py ip-6.15-vlan 'default_link("cp1")' --through 'ssh cp1 sh -s'

The name is <tool>-<version>-<situation>. The second argument is what was asked, as a check would spell it, and has to
be so to the letter: it is how the answer is found in the evidence. Look at the `expected` that it prints: it is what
the probe says today, not what is right. Take out of the .txt what is secret, and nothing else.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "unit"))

import recorded  # noqa: E402

from siteproof.asks import Command, Output  # noqa: E402
from siteproof.errors import ProbeError  # noqa: E402
from siteproof.evidence.store import Store  # noqa: E402
from siteproof.gather.base import new_nonce  # noqa: E402
from siteproof.transport.batch import Frames, RunContext, script  # noqa: E402


def from_run(directory: Path, ask: str) -> Output:
    """The answer that stands in a run's evidence."""
    question = recorded.single(ask).question
    found = Store(directory / "evidence").get(question)
    if isinstance(found, ProbeError):
        raise SystemExit(f"{directory}: there is no output, only {found.kind}: {found}")
    if found is None:
        raise SystemExit(f"{directory}: {question.probe} was not asked on {question.host}, or with another script")
    return found


def asked_now(through: str, before: str, ask: str) -> Output:
    """The answer of the host where `through` runs the script that it is given, in the frame of a real batch."""
    question = recorded.single(ask).question
    if not isinstance(question, Command):
        raise SystemExit(f"{question.probe} is no command; take it from a run")
    nonce = new_nonce()
    asked = script([question], nonce=nonce, run=RunContext(new_nonce()), sudo="sudo -n")
    ended = subprocess.run(
        shlex.split(through), input=before.encode() + b"\n" + asked, capture_output=True, check=False
    )
    frames = Frames(nonce, 4 << 20)
    for answer in [*frames.stdout(ended.stdout), *frames.stderr(ended.stderr)]:
        return Output(answer.status, answer.stdout or b"", answer.stderr or b"", 0.0, 0.0)
    raise SystemExit(f"{through}: no answer:\n{ended.stdout.decode()}\n{ended.stderr.decode()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="<tool>-<version>-<situation>")
    parser.add_argument("ask", help="what was asked, as a check would spell it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, metavar="DIR", help="a run's directory")
    source.add_argument("--through", metavar="COMMAND", help="ask now, through this command")
    parser.add_argument("--before", default="", metavar="SH", help="with --through: sh to run first")
    given = parser.parse_args()
    output = from_run(given.run, given.ask) if given.run else asked_now(given.through, given.before, given.ask)
    recording = recorded.write(given.name, given.ask, output)
    print(recording.path, recording.expected or recording.error, sep="\n")


if __name__ == "__main__":
    main()
