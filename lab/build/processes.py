"""Runs the outside programs of a build so that none of them, and none of their mounts, outlives it."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lab.build.errors import BuildError

# The parent's death kills unshare, unshare's death kills the first process of the new PID namespace, and that
# takes the whole namespace and its private mounts with it: kill -9 of the build leaves nothing running.
SEALED = (
    "setpriv", "--pdeathsig", "KILL", "--",
    "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--propagation", "private", "--",
)  # fmt: skip
LIMIT_SECONDS = 3600
# A root shell opened by `su` may lack these, and the tools of a package installation are there.
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_TROUBLE = re.compile(r"^E:|\berror\b|\bfailed\b|\bcannot\b|\bdenied\b|\bnot found\b|\bunable\b", re.IGNORECASE)


class Cancelled(Exception):
    """Another part of the build failed, so this one was stopped."""


class Commands:
    """The commands of one build, of which each part's output is kept in its own file."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._cancelled = False
        logs.mkdir(parents=True, exist_ok=True)

    def begin(self, part: str) -> None:
        """Start the part's output anew."""
        self._log(part).write_text("")

    def run(
        self,
        part: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        sealed: bool = True,
    ) -> str:
        """Run to the end and return what it printed; BuildError says what went wrong in its own words.

        Not sealed: it works on the machine itself, and is better left to finish when the build is killed.
        """
        words = [str(word) for word in argv]
        log = self._log(part)
        with log.open("a") as errors:
            errors.write(f"$ {' '.join(words)}\n")
            errors.flush()
            written_before = log.stat().st_size
            process = self._start(words, errors, {**os.environ, **(env or {})}, cwd, sealed)
            try:
                out, _ = process.communicate(timeout=LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise BuildError(f"{part}: {words[0]} was still busy after {LIMIT_SECONDS} s (see {log})") from None
            finally:
                with self._guard:
                    self._running.discard(process)
            errors.write(out)
        if self._cancelled:
            raise Cancelled
        if process.returncode:
            said = telling_line(log.read_bytes()[written_before:].decode(errors="replace"))
            raise BuildError(f"{part}: {Path(words[0]).name} failed: {said} (all of it in {log})")
        return out

    def cancel(self) -> None:
        with self._guard:
            self._cancelled = True
            for process in self._running:
                process.kill()

    def _log(self, part: str) -> Path:
        return self._logs / f"{part.replace(' ', '-')}.log"

    def _start(
        self, words: list[str], errors: IO[str], env: Mapping[str, str], cwd: Path | None, sealed: bool
    ) -> subprocess.Popen[str]:
        with self._guard:
            if self._cancelled:
                raise Cancelled
            process = subprocess.Popen(
                [*SEALED, *words] if sealed else words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**env, "PATH": f"{env.get('PATH', os.defpath)}:{SBIN}", "LC_ALL": "C.UTF-8"},
                cwd=cwd,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            if sealed:
                self._running.add(process)
            return process


def telling_line(output: str) -> str:
    """The line of a failed program's output that a person would read out."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if _TROUBLE.search(line)]
    return (telling or lines or ["it printed nothing"])[-1]
