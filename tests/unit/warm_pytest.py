"""pytest as a process of its own, many times, that does not import the same modules each time.

A run of the suite takes about two seconds of CPU to start, and half of that are imports. multiprocessing's fork server
has them once; each run is a child of it with its own directory, environment, arguments and streams. What a cold start
imports is not seen here: `test_start.py` looks at that, and every test that starts `python -m pytest` by itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

LOADED = (
    "pytest",
    "_pytest.pytester",
    "xdist.plugin",
    "testinfra.plugin",
    "paramiko",
    "jinja2",
    "siteproof.plugin.hooks",
    "siteproof.gather.remote",
    "siteproof.report",
    "siteproof.report.pages",
    "siteproof.transport.session",
)
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_")
"""What these say, Python reads when it starts."""

Environment = Mapping[str, str]


@cache
def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    return context


@cache
def _clean_path() -> tuple[str, ...]:
    """sys.path behind its first entry, of a Python that was told nothing."""
    line = [sys.executable, "-c", "import sys; print(*sys.path[1:], sep='\\n')"]
    told_nothing = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return tuple(subprocess.run(line, env=told_nothing, capture_output=True, text=True, check=True).stdout.split("\n"))


def _at_start(environment: Environment) -> Environment:
    return {k: v for k, v in environment.items() if k.startswith(_AT_START) and k != "PYTHONPATH"}


_STARTED_WITH = _at_start(os.environ)
"""As it was when this module was imported: no test has changed it yet."""


def can_run() -> bool:
    """Whether a Python that started now would start as the server did."""
    return _at_start(os.environ) == _STARTED_WITH


def run(arguments: Sequence[str], stdout: Path, stderr: Path, timeout_s: float) -> int:
    """The exit code of `python -m pytest ARGUMENTS` in this directory and environment. Raises TimeoutError."""
    environment = dict(os.environ)
    mask = os.umask(0)
    os.umask(mask)
    told = (tuple(arguments), str(Path.cwd()), environment, mask, _clean_path(), str(stdout), str(stderr))
    child = _context().Process(target=_pytest, args=told)
    child.start()
    try:
        child.join(timeout_s)
        if child.exitcode is None:
            raise TimeoutError(f"pytest did not end in {timeout_s} s: {' '.join(arguments)}")
        return child.exitcode
    finally:
        child.kill()
        child.join()
        child.close()


def _pytest(
    arguments: tuple[str, ...],
    directory: str,
    environment: Environment,
    mask: int,
    path: tuple[str, ...],
    stdout: str,
    stderr: str,
) -> None:
    import pytest

    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    os.umask(mask)
    time.tzset()
    tempfile.tempdir = None
    told = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [directory, *filter(None, told), *path]
    sys.argv = [pytest.__file__.replace("__init__", "__main__"), *arguments]
    _own_streams(stdout, stderr)
    # pytest warns of modules that came before it could rewrite their asserts. There are none in them.
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"siteproof", "xdist", "testinfra"}:
            module.__doc__ = f"{module.__doc__ or ''} PYTEST_DONT_REWRITE"
    code = pytest.console_main()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _own_streams(stdout: str, stderr: str) -> None:
    for number, at in ((0, os.devnull), (1, stdout), (2, stderr)):
        opened = os.open(at, os.O_RDWR | os.O_CREAT, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    # This process's own, to its end.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
