"""Scripts as they are sent to a host, run by real shells where every tool is a stub that only notes how it was called.

What a value makes of itself shows: by the file `canary`, which the values of `hostile` try to make, and by the words
that the stubs were given.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import shells

from siteproof.asks import Command
from siteproof.transport import batch

NOTHING = re.compile(r"(?!)")
PORTION = 60
LIMIT_S = 60
REAL_PATH = b":/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"
"""What the batch puts behind the PATH of a host on which who asks is not root."""
SHELLS = {
    words[0]: [shutil.which(words[0]) or words[0], *words[1:]]
    for words in (("dash",), ("bash", "--posix"), ("busybox", "sh"))
    if words in shells.POSIX and shells.takes_tools_of_path(words)
} or {"sh": ["/bin/sh"]}
"""Those of this machine that call stubs."""


_STUB = r"""#!/bin/sh
printf '%s\0' "$#" TOOL "$@" >>CALLS
"""
_SAYS = r"""while IFS= read -r line; do printf '%s\n' "$line"; done <SAID
"""
_SILENT = ("id",)


@dataclass(frozen=True)
class Call:
    """How a stub was called."""

    words: tuple[str, ...]

    @property
    def options(self) -> frozenset[str]:
        """The words that begin with a dash and that the tool takes for options: those before the end of them."""
        if self.words[0] == "id":  # the batch's own
            return frozenset()
        words = self.words[: self.words.index("--")] if "--" in self.words else self.words
        return frozenset(word for word in words[1:] if word.startswith("-"))


class Sandbox:
    """A directory with nothing but stubs, and a shell."""

    def __init__(self, directory: Path, shell: str, tools: Iterable[str]) -> None:
        """`shell` is one of SHELLS."""
        self.name = shell
        self.canary = directory / "canary"
        self._calls = directory / "calls"
        self._said = directory / "said"
        self._moment = directory / "moment"
        self._bin = directory / "bin"
        self._shell = SHELLS[shell]
        self._bin.mkdir()
        for tool in sorted({*tools, "sudo", "id"}):
            self._stub(tool)
        own = self._bin / "sh"
        own.write_text(f'#!/bin/sh\nexec {" ".join(self._shell)} "$@"\n')
        own.chmod(0o755)

    def _stub(self, tool: str) -> None:
        path = self._bin / tool
        text = _STUB.replace("CALLS", str(self._calls)).replace("TOOL", tool)
        said = self._moment if tool == "date" else self._said
        path.write_text(text + ("" if tool in _SILENT else _SAYS.replace("SAID", str(said))))
        path.chmod(0o755)

    def run(self, commands: Sequence[Command], *, said: bytes = b"") -> list[Call]:
        """All of them in one batch, each stub printing `said`."""
        self._said.write_bytes(said)
        # Where time stands still nobody waits to an end.
        self._moment.write_bytes(b"" if said.strip().isdigit() else said)
        self._calls.write_bytes(b"")
        context = batch.RunContext(nonce="0123456789ab")
        text = batch.script(commands, nonce="n" * 32, run=context, sudo="sudo -n")
        assert text.count(REAL_PATH) == 1
        shell = subprocess.Popen(
            [*self._shell, "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": str(self._bin), "HOME": "/nonexistent"},
            start_new_session=True,
        )
        try:
            shell.communicate(text.replace(REAL_PATH, b""), timeout=LIMIT_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        return list(self._noted())

    def _noted(self) -> Iterator[Call]:
        words = self._calls.read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
        while words:
            end = int(words[0]) + 2
            yield Call(tuple(words[1:end]))
            words = words[end:]

    def broken_by(
        self,
        commands: Sequence[Command],
        allowed: frozenset[str],
        *,
        said: bytes = b"",
        looked_at: re.Pattern[str] = NOTHING,
    ) -> list[Command]:
        """The commands that made the canary, or gave a tool an option that is none of `allowed`, nor `looked_at`."""
        broken: list[Command] = []
        for at in range(0, len(commands), PORTION):
            portion = commands[at : at + PORTION]
            if self.is_broken(portion, allowed, said, looked_at):
                broken += [c for c in portion if self.is_broken([c], allowed, said, looked_at)]
        return broken

    def is_broken(
        self,
        commands: Sequence[Command],
        allowed: frozenset[str],
        said: bytes = b"",
        looked_at: re.Pattern[str] = NOTHING,
    ) -> bool:
        calls = self.run(commands, said=said)
        odd = {option for call in calls for option in call.options if not looked_at.fullmatch(option)}
        made = self.canary.exists()
        self.canary.unlink(missing_ok=True)
        return made or not odd <= allowed | {"-n"}  # which is sudo's
