"""One host behind a backend of testinfra's: this machine itself, or a container."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from siteproof.errors import AuthenticationRefused, ChannelRefused, HostError, Unreachable
from siteproof.transport.backend import Backend
from siteproof.transport.backends.process import ProcessShell
from siteproof.transport.batch import Frames
from siteproof.transport.channel import Carrier, FromHere
from siteproof.transport.connection import Connection
from siteproof.transport.session import MOST_CHANNELS, START_S, Session
from siteproof.transport.shell import Shell
from siteproof.transport.wire import one_line, words

_NOT_LET_IN = re.compile(
    r"permission denied while trying to connect|\bunauthorized\b|\bforbidden\b|must be logged in", re.IGNORECASE
)

_NO_ORPHANS = b"""case $(timeout --help 2>&1) in *BusyBox*) timeout() { return 1; } ;; esac
"""
"""busybox's timeout leaves a process behind for the host's init to reap, and few containers have one that does: they
would collect a zombie for each command. Without a timeout there, we count the time ourselves and end the shell."""


class BackendSession(Session):
    """There is no connection to keep: each batch is a program of its own."""

    def __init__(self, connection: Connection, backend: Backend) -> None:
        super().__init__(connection, backend.user or "")
        self._backend = backend
        self._slots = threading.BoundedSemaphore(MOST_CHANNELS)
        self._running: set[ProcessShell] = set()
        self._closed = False
        self._met = False

    @property
    def reached(self) -> bool:
        return self._met

    @property
    def alive(self) -> bool:
        return not self._closed

    def close(self) -> None:
        self._closed = True
        for shell in tuple(self._running):
            shell.kill()

    @contextmanager
    def _shell(self, as_root: bool) -> Iterator[Shell]:
        with self._slots:
            if self._closed:
                raise self._unreachable("it was given up")
            shell = ProcessShell(self._backend)
            try:
                if as_root:
                    shell.start_as_root(
                        self.connection.name,
                        self.connection.become_password or "",
                        START_S,
                        self.connection.become_program,
                    )
                else:
                    shell.start()
                if self._backend.kind != "local":
                    shell.send(_NO_ORPHANS)
                self._running.add(shell)
                yield shell
            except OSError as error:
                raise self._unreachable(words(error)) from error
            except GeneratorExit:
                if shell.exit_status is None:  # a shell that has stopped by itself is given the time to end
                    shell.kill()
                raise
            finally:
                self._met = self._met or shell.started
                self._running.discard(shell)
                shell.close()

    @contextmanager
    def _carrier(self) -> Iterator[Carrier]:
        if not self._backend.carries_streams:
            raise ChannelRefused(
                f"{self.connection.name}: no stream through {self._backend.url}: no TCP connection of ours can leave "
                "from there"
            )
        with self._slots:
            yield FromHere(in_lab=self.connection.in_lab)

    def _no_shell(self, shell: Shell, frames: Frames) -> HostError:
        stdout, stderr = (stream.decode("utf-8", "replace").split("\n") for stream in frames.rest)
        said = [line for each in (*stdout, *stderr) if not each.isdecimal() and (line := one_line(each))]
        status = "" if shell.exit_status is None else f" with status {shell.exit_status}"
        error = self._unreachable(said[-1] if said else f"its shell ended{status} before it was asked anything")
        if said and _NOT_LET_IN.search(said[-1]):
            return AuthenticationRefused(error.message, host=error.host)
        return error

    def _no_shell_in_time(self) -> HostError:
        return self._unreachable(f"no shell has started within {START_S:g} s")

    def _unreachable(self, why: str) -> Unreachable:
        name = self.connection.name
        return Unreachable(f"{name} ({self._backend.url}): {why}", host=name)
