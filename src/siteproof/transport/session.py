"""What can be asked of one host, however it is reached: batches of commands, single live commands and streams."""

from __future__ import annotations

import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass

from siteproof.asks import Command, Output, Stream
from siteproof.errors import (
    ChannelRefused,
    GivenUp,
    HostError,
    PrivilegeRefused,
    ProbeError,
    TimedOut,
    TooLarge,
    ToolMissing,
    Truncated,
    Unreachable,
)
from siteproof.evidence.store import Attempt
from siteproof.transport import batch, identity
from siteproof.transport.batch import Answer, Frames, OutOfFrame, RunContext
from siteproof.transport.channel import Carrier
from siteproof.transport.connection import Connection
from siteproof.transport.identity import Identity
from siteproof.transport.shell import Shell

MOST_CHANNELS = 5
"""At once, per host. sshd's default MaxSessions is 10; eight at once were seen to be refused."""
START_S = 10.0
"""Until the shell has started: a login shell may read slow profiles."""
_GRACE_S = 2.0
"""How much later than the host's own limit we give a command up."""


def _speaks(protocol: str) -> Callable[[Carrier, Stream], bytes]:
    """Its client, imported when it is needed: requests takes as long to import as a host to answer."""
    if protocol == "dns":
        from siteproof.transport.streams import dns_stream

        return dns_stream.ask
    from siteproof.transport.streams import http_stream

    return http_stream.ask


Answered = tuple[Command, Attempt]


class Session(ABC):
    """One host. Several threads may ask at once; they share at most MOST_CHANNELS shells and streams."""

    def __init__(self, connection: Connection, login_user: str) -> None:
        self.connection = connection
        self.login_user = login_user
        self.identity: Identity | None = None
        self._introducing = threading.Lock()
        self._unfit: HostError | None = None

    @property
    def reached(self) -> bool:
        """Whether the host has shown itself at all."""
        return True

    @property
    @abstractmethod
    def alive(self) -> bool: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _shell(self, as_root: bool) -> AbstractContextManager[Shell]:
        """A shell that has been told to run `sh -s`.

        Raises HostError, and what concerns this shell alone: ChannelRefused, PrivilegeRefused, ToolMissing.
        """

    @abstractmethod
    def _carrier(self) -> AbstractContextManager[Carrier]:
        """What takes TCP connections to where they leave from the host. Raises ChannelRefused where nothing does."""

    @abstractmethod
    def _no_shell(self, shell: Shell, frames: Frames) -> HostError:
        """Why the shell has ended before its first mark."""

    @abstractmethod
    def _no_shell_in_time(self) -> HostError: ...

    def batch(self, commands: Sequence[Command], run: RunContext, *, as_root: bool = False) -> Generator[Answered]:
        """Ask `commands` in order and yield each with its attempt, as it comes.

        Before anything else is asked on a connection, the host says who it is; other threads wait for that. `as_root`:
        in a root shell that sudo opens with the password. Raises HostError where nothing more can be asked here, as
        where it cannot be asked who it is; what was yielded stands.
        """
        if as_root:
            self._introduce(run)
        with ExitStack() as introducing:
            introducing.enter_context(self._one_introduces())
            introduction = None if self.identity else identity.question(self.connection)
            if introduction is None:
                introducing.close()
            for portion in batch.portions([introduction, *commands] if introduction else commands):
                while portion:
                    answered = 0
                    stop_unless_first = portion[0] is introduction
                    with closing(self._converse(portion, run, as_root, stop_unless_first)) as answers:
                        for command, attempt in answers:
                            answered += 1
                            if command is introduction:
                                self._identify(attempt)
                                introducing.close()
                            else:
                                yield command, attempt
                    del portion[:answered]

    def run(self, script: str, timeout_s: float, run: RunContext) -> Output:
        """One live command. Raises ProbeError."""
        command = Command(
            host=self.connection.name, probe="command", deadline_s=timeout_s, probe_class="reads", script=script
        )
        ((_, attempt),) = self.batch([command], run)
        if isinstance(attempt.answer, ProbeError):
            raise attempt.answer
        return attempt.answer

    def stream(self, question: Stream, run: RunContext) -> Attempt:
        """Raises HostError and ChannelRefused like `batch`."""
        self._introduce(run)
        started, begun = time.time(), time.monotonic()
        try:
            with self._carrier() as carrier:
                reply = _speaks(question.protocol)(carrier, question)
        except HostError:
            raise
        except ProbeError as error:
            error.host = self.connection.name
            return Attempt(started, time.monotonic() - begun, error)
        return Attempt.of(Output(0, reply, b"", started, time.monotonic() - begun))

    @contextmanager
    def _one_introduces(self) -> Iterator[None]:
        """What the first has found out about the host holds for all who waited."""
        with self._introducing:
            if self._unfit is not None:
                raise type(self._unfit)(self._unfit.message, host=self.connection.name)
            try:
                yield
            except HostError as error:
                self._unfit = error
                raise

    def _introduce(self, run: RunContext) -> None:
        list(self.batch([], run))

    def _identify(self, attempt: Attempt) -> None:
        name, answer = self.connection.name, attempt.answer
        if isinstance(answer, ChannelRefused):  # the first on its connection: no other will be let in
            raise Unreachable(f"{name} lets {self.login_user} in, and then opens no session: {answer}", host=name)
        if isinstance(answer, ProbeError):
            raise Unreachable(f"{name} did not say who it is: {answer}", host=name) from answer
        found = identity.read(answer)
        identity.refuse_other(self.connection, found)
        if answer.status != 0:
            raise Unreachable(f"{name} did not say who it is: {answer.errors.strip()}", host=name)
        self.identity = found

    def _converse(
        self, commands: Sequence[Command], run: RunContext, as_root: bool, stop_unless_first: bool
    ) -> Generator[Answered]:
        """One channel's worth: answers in order, at least one, until all are in or a command has ended the channel."""
        nonce = secrets.token_hex(16)
        sudo = "" if as_root else f"{self.connection.become_program} -n" if self.connection.become else batch.NO_SUDO
        lists = self.connection.become_method == "sudo"
        script = batch.script(
            commands, nonce=nonce, run=run, sudo=sudo, lists=lists, stop_unless_first=stop_unless_first
        )
        try:
            with self._shell(as_root) as shell:
                shell.send(script)
                yield from self._answers(shell, Frames(nonce, run.byte_cap), commands)
        except (ChannelRefused, PrivilegeRefused, ToolMissing) as reason:
            yield from self._none_answered(commands, reason)

    def _answers(self, shell: Shell, frames: Frames, commands: Sequence[Command]) -> Iterator[Answered]:
        mark = _Moment.now()
        while frames.answered < len(commands):
            running = commands[frames.answered]
            if frames.too_large:
                shell.kill()
                yield running, mark.failed(TooLarge(f"{_what(running)}: more output than {frames.cap} bytes"))
                return
            limit = _limit_s(running, frames.timeout) if frames.started else START_S
            end = mark.monotonic + limit
            got = shell.read(max(0.0, end - time.monotonic()))
            if got is None or got == (b"", b""):
                error = self._ended(shell, frames, running) if got is None else self._overdue(shell, frames, running)
                yield running, mark.failed(error)
                return
            was_started = frames.started
            try:
                answers = [*frames.stdout(got[0]), *frames.stderr(got[1])]
            except OutOfFrame as error:
                shell.kill()
                yield running, mark.failed(Truncated(f"{_what(running)}: its frame is broken: {error}"))
                return
            for answer in answers:
                yield commands[answer.index], _attempt(commands[answer.index], answer, mark)
                mark = _Moment.now()
            if frames.started and not was_started:
                mark = _Moment.now()
            elif not answers and time.monotonic() > end:  # who says a little all the time is late as well
                yield running, mark.failed(self._overdue(shell, frames, running))
                return

    def _ended(self, shell: Shell, frames: Frames, running: Command) -> ProbeError:
        """Both streams ended. Raises where that concerns more than the running command."""
        if not frames.started:
            raise self._no_shell(shell, frames)
        if not self.alive:
            return Truncated(f"{_what(running)}: the connection was lost before its end")
        status = "" if shell.exit_status is None else f" (its shell with status {shell.exit_status})"
        return Truncated(f"{_what(running)}: the session ended before its end marker{status}")

    def _overdue(self, shell: Shell, frames: Frames, running: Command) -> ProbeError:
        if not frames.started:
            raise self._no_shell_in_time()
        shell.kill()
        return _timed_out(running)

    @staticmethod
    def _none_answered(commands: Sequence[Command], reason: ProbeError) -> Iterator[Answered]:
        now = _Moment.now()
        yield from ((command, now.failed(reason)) for command in commands)


@dataclass(frozen=True)
class _Moment:
    """A point in time on both clocks: one for the reader, one that is never set back."""

    epoch: float
    monotonic: float

    @staticmethod
    def now() -> _Moment:
        return _Moment(time.time(), time.monotonic())

    @property
    def seconds_since(self) -> float:
        return time.monotonic() - self.monotonic

    def failed(self, error: ProbeError) -> Attempt:
        return Attempt(self.epoch, self.seconds_since, error)


def _what(command: Command) -> str:
    return f"{command.probe} on {command.host}"


def _timed_out(command: Command) -> TimedOut:
    return TimedOut(
        f"{_what(command)}: not finished within {command.deadline_s:g} s and a margin of {batch.MARGIN_S} s"
    )


def _limit_s(command: Command, timeout: str | None) -> float:
    """When we give a command up, counted from the mark before it; with a timeout on the host, only if that failed."""
    on_host = batch.limit_s(command)
    return on_host if timeout == batch.NO_TIMEOUT else on_host + batch.KILL_AFTER_S + _GRACE_S


def _attempt(command: Command, answer: Answer, since: _Moment) -> Attempt:
    seconds = since.seconds_since
    if answer.given_up:
        return since.failed(GivenUp(f"{_what(command)} was not asked"))  # why, `Patience` knows
    if batch.used_up(command, answer, seconds):
        return since.failed(_timed_out(command))
    if answer.stdout is None or answer.stderr is None:
        stream = "stdout" if answer.stdout is None else "stderr"
        return since.failed(TooLarge(f"{_what(command)}: more output on {stream} than the cap"))
    return Attempt.of(Output(answer.status, answer.stdout, answer.stderr, since.epoch, seconds))
