"""One host's SSH connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import paramiko

from siteproof.errors import BadInput, ChannelRefused, HostError, Unreachable
from siteproof.transport.batch import Frames
from siteproof.transport.channel import OverSsh
from siteproof.transport.connection import Connection
from siteproof.transport.session import MOST_CHANNELS, START_S, Session
from siteproof.transport.shell import ChannelShell, Shell
from siteproof.transport.ssh import ssh_config
from siteproof.transport.ssh.dial import Dialer
from siteproof.transport.ssh.slots import Slots
from siteproof.transport.wire import ConnectionLost, Refused, Transport, hang_up, one_line, words

_OPEN_S = 5.0


class SshSession(Session):
    """One host, one connection; every shell and every stream is a channel of it."""

    def __init__(self, connection: Connection, login_user: str, transport: Transport) -> None:
        super().__init__(connection, login_user)
        self._transport = transport
        self._slots = Slots(MOST_CHANNELS)

    @staticmethod
    def connect(connection: Connection, dialer: Dialer) -> SshSession:
        """Raises HostError."""
        try:
            route = ssh_config.resolve(connection)
            return SshSession(connection, route.user, dialer.dial(route))
        except BadInput as error:
            raise Unreachable(str(error), host=connection.name) from error
        except HostError as error:
            error.host = connection.name
            raise

    @property
    def alive(self) -> bool:
        return self._transport.is_active()

    def close(self) -> None:
        hang_up(self._transport)

    @contextmanager
    def _shell(self, as_root: bool) -> Iterator[Shell]:
        try:
            with self._slots.open(lambda: self._transport.open("session", _OPEN_S)) as channel, closing(channel):
                shell = ChannelShell(channel)
                if as_root:
                    shell.start_as_root(
                        self.connection.name,
                        self.connection.become_password or "",
                        START_S,
                        self.connection.become_program,
                    )
                else:
                    shell.start()
                yield shell
        except Refused as refused:
            raise ChannelRefused(
                f"{self.connection.name}: sshd refused one more session: {refused} (MaxSessions)"
            ) from refused
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.close()
            raise self._lost(words(error)) from error

    @contextmanager
    def _carrier(self) -> Iterator[OverSsh]:
        with self._slots.one():
            yield OverSsh(self._transport)

    def _no_shell(self, shell: Shell, frames: Frames) -> HostError:
        if not self.alive:
            return self._lost("it ended before a shell had started")
        name = self.connection.name
        if isinstance(shell, ChannelShell) and shell.refused:
            return Unreachable(f"{name}: logged in, but sshd does not run a shell", host=name)
        said = [line for each in frames.rest for line in each.decode("utf-8", "replace").strip().splitlines()]
        status = "" if shell.exit_status is None else f" with status {shell.exit_status}"
        silent = ", and without a word: /bin/false, a nologin, or a ForceCommand of sshd's?"
        return Unreachable(
            f"{name}: logged in, but the login shell ended{status} instead of running `sh -s`"
            # A profile may talk before it fails: the reason comes first or last.
            f"{': ' + one_line(' … '.join(dict.fromkeys((said[0], said[-1])))) if said else silent}",
            host=name,
        )

    def _no_shell_in_time(self) -> HostError:
        name = self.connection.name
        return Unreachable(f"{name}: logged in, but no shell has started within {START_S:g} s", host=name)

    def _lost(self, why: str) -> ConnectionLost:
        return ConnectionLost(f"{self.connection.name}: the connection was lost: {why}", host=self.connection.name)
