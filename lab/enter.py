"""Run something on a host of the lab, from the machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from lab.state import State

ENVIRONMENT = (
    "env",
    "-i",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "SHELL=/bin/sh",
    "LANG=C.UTF-8",
)


def argv(state: State, host: str, command: Sequence[str], terminal: str = "dumb") -> list[str]:
    """The machine's command line that runs `command` on `host`; on the operator as the machine's own user."""
    entry = ["nsenter", "-t", str(state.hosts[host].pid), "--net", "--uts", "--mount"]
    if host == "operator":
        return [*entry, "--wd=.", *command]
    inside = ["--user", "--ipc", "--pid", "--cgroup", "--root", "--wd"]
    return [*entry, *inside, *ENVIRONMENT, f"TERM={terminal}", *command]


def command_on(
    state: State, host: str, command: Sequence[str], timeout: float = 30, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it and return what it said; a command that takes longer than `timeout` counts as failed, with status 124."""
    line = argv(state, host, command)
    try:
        return subprocess.run(
            line,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(line, 124, "", f"no answer within {timeout:g} s")
