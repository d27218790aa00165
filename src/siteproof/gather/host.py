"""One host's part of a round."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from functools import partial
from typing import TypeVar

from siteproof.asks import Command, Output, Question, Stream
from siteproof.errors import ChannelRefused, GivenUp, HostError, OverBudget, ProbeError, Unreachable
from siteproof.evidence.store import Attempt, HostRecord, Store
from siteproof.transport.backends.backend_session import BackendSession
from siteproof.transport.batch import RunContext
from siteproof.transport.connection import Connection
from siteproof.transport.identity import Identity
from siteproof.transport.patience import Patience
from siteproof.transport.session import MOST_CHANNELS, Session
from siteproof.transport.ssh.dial import Dialer
from siteproof.transport.ssh.ssh_session import SshSession
from siteproof.transport.wire import ConnectionLost, HeldOff

T = TypeVar("T")
Lane = Callable[[], None]
"""What one channel after another asks. Lanes of a host run beside each other."""


class Round:
    """The questions of one host that are not answered yet, or are to be asked again."""

    def __init__(self, host: str, questions: Iterable[Question], store: Store, answered: Callable[[int], None]) -> None:
        self.host = host
        self._open = {question.key: question for question in questions}
        self._attempts: dict[str, list[Attempt]] = {}
        self._store = store
        self._answered = answered
        self._lock = threading.Lock()

    @property
    def open(self) -> list[Question]:
        with self._lock:
            return list(self._open.values())

    def record(self, question: Question, attempt: Attempt) -> None:
        """Keep the attempt; the question stays open where it is worth another."""
        with self._lock:
            if question.key not in self._open:
                return
            attempts = self._attempts.setdefault(question.key, [])
            attempts.append(attempt)
            if question.again(attempt.answer) and len(attempts) <= question.retries:
                return
            self._store.add(question, *attempts)
            del self._open[question.key], self._attempts[question.key]
            left = len(self._open)
        self._answered(left)

    def give_up(self, question: Question, error: ProbeError) -> None:
        """It is not asked again: what it was answered before stands, if it was."""
        with self._lock:
            if question.key not in self._open:
                return
            self._store.add(question, *self._attempts.pop(question.key, [Attempt(time.time(), 0.0, error)]))
            del self._open[question.key]
            left = len(self._open)
        self._answered(left)

    def fail_all(self, error: ProbeError, seconds: float = 0.0) -> None:
        for question in self.open:
            self.record(question, Attempt(time.time(), seconds, error))


class Host:
    """A connection that is made once in a run, and again at most once in a round if it was lost."""

    def __init__(self, connection: Connection, dialer: Dialer, run: RunContext, store: Store) -> None:
        self.connection = connection
        self._dialer = dialer
        self._run = run
        self._store = store
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._failure: HostError | None = None
        self._recorded: HostRecord | None = None
        self._introduced = False
        self._patience = Patience(connection.name)
        self._turns: dict[str, threading.Lock] = {}

    @property
    def identity(self) -> Identity | None:
        return self._session.identity if self._session else None

    def ask(self, round_: Round, connected: Callable[[], None]) -> bool:
        """Answer or fail every question of the round. Whether the host could be asked."""
        begun = time.monotonic()
        try:
            self._on_session(partial(self._ask_open, round_, connected))
        except HostError as error:
            seconds = time.monotonic() - begun
            round_.fail_all(error, seconds)
            # Who has answered before is not a host that cannot be asked.
            late = isinstance(error, OverBudget) and self._session is not None
            self._note(None if late else error, seconds)
            return False
        self._note(None, time.monotonic() - begun)
        return True

    def run(self, command: str, timeout_s: float) -> Output:
        """One live command. Raises ProbeError."""
        begun = time.monotonic()
        try:
            output = self._on_session(lambda session: session.run(command, timeout_s, self._run))
        except HostError as error:
            self._note(error, time.monotonic() - begun)
            raise
        self._note(None, time.monotonic() - begun)
        return output

    def close(self, why: HostError | None = None) -> None:
        """Whoever still asks is told, and does not connect again."""
        self._failure = self._failure or why or Unreachable(f"{self.connection.name}: the run was ended")
        if self._session is not None:
            self._session.close()

    def _on_session(self, call: Callable[[Session], T]) -> T:
        """Call with the session, and once more if the connection was lost meanwhile."""
        try:
            try:
                return call(self._connected())
            except ConnectionLost:
                return call(self._connected())
        except ConnectionLost:
            raise
        except HostError as error:
            self._failure = error
            self.close()
            raise

    def _connect(self) -> Session:
        backend = self.connection.backend
        if backend is not None:
            return BackendSession(self.connection, backend)
        return SshSession.connect(self.connection, self._dialer)

    def _connected(self) -> Session:
        """Raises ConnectionLost where the connection was there once and cannot be made again."""
        with self._lock:
            if self._failure is not None:
                raise type(self._failure)(self._failure.message, host=self.connection.name)
            if self._session is None:
                self._session = self._connect()
            elif not self._session.alive:
                try:
                    self._session = self._connect()
                except HostError as error:
                    if isinstance(error, HeldOff):  # another try would prolong it
                        self._failure = error
                    raise ConnectionLost(f"{error}, after a connection was lost", host=error.host) from error
            return self._session

    def _ask_open(self, round_: Round, connected: Callable[[], None], session: Session) -> None:
        connected()
        for _ in range(1 + max((question.retries for question in round_.open), default=0)):
            if not round_.open:
                return
            errors = _beside_each_other(self._lanes(session, round_))
            # What one channel has found out about the host holds for all of them, and is more than that it was lost.
            for error in sorted(errors, key=lambda error: isinstance(error, ConnectionLost)):
                if round_.open:
                    raise error

    def _lanes(self, session: Session, round_: Round) -> list[Lane]:
        with_password = self.connection.become and self.connection.become_password is not None
        batches: dict[bool, list[Command]] = {False: [], True: []}
        streams: dict[tuple[str, int], list[Stream]] = defaultdict(list)
        lanes: list[Lane] = []
        for question in round_.open:
            if (given_up := self._patience.over(question)) is not None:
                round_.give_up(question, given_up)
            elif isinstance(question, Stream):
                # One after the other at one server: unbound, for one, has 10 TCP slots for all the hosts together.
                streams[question.address, question.port].append(question)
            elif isinstance(question, Command):
                as_root = question.root and with_password
                if question.slow:
                    lanes.append(partial(self._slow, session, round_, question, as_root))
                else:
                    batches[as_root].append(question)
        lanes += [partial(self._streams, session, round_, asked) for asked in streams.values()]
        for as_root, commands in batches.items():
            if commands:
                lanes.insert(0, partial(self._batch, session, round_, commands, as_root))
        return lanes

    def _streams(self, session: Session, round_: Round, questions: Collection[Stream]) -> None:
        for question in questions:
            if (given_up := self._patience.over(question)) is not None:
                round_.give_up(question, given_up)
                continue
            try:
                attempt = session.stream(question, self._run)
            except ChannelRefused as error:
                attempt = Attempt(time.time(), 0.0, error)
            self._introduce()
            self._patience.saw(question, attempt)
            round_.record(question, attempt)

    def _slow(self, session: Session, round_: Round, question: Command, as_root: bool) -> None:
        """Those that wait for the same thing one after the other, also those of another round: perhaps in vain."""
        with self._turns.setdefault(question.waits, threading.Lock()) if question.waits else nullcontext():
            if (given_up := self._patience.over(question)) is not None:
                round_.give_up(question, given_up)
            else:
                self._batch(session, round_, [question], as_root)

    def _batch(self, session: Session, round_: Round, commands: Collection[Command], as_root: bool) -> None:
        with closing(session.batch(list(commands), self._run, as_root=as_root)) as answers:
            for command, attempt in answers:
                self._introduce()
                if isinstance(attempt.answer, GivenUp):
                    round_.give_up(command, self._patience.given_up(command))
                    continue
                self._patience.saw(command, attempt)
                round_.record(command, attempt)

    def _introduce(self) -> None:
        """Write down who the host is before any of its answers: other processes judge as soon as they find them."""
        with self._lock:
            if not self._introduced and self.identity is not None:
                self._introduced = True
                self._store.add_host(self._record(None, 0.0))

    def _note(self, error: HostError | None, seconds: float) -> None:
        """Write down how the host was met, when that is new."""
        record = self._record(error, seconds)
        with self._lock:
            if self._recorded is None or (error and not self._recorded.error):
                self._recorded = record
                self._store.add_host(record)

    def _record(self, error: HostError | None, seconds: float) -> HostRecord:
        session, identity = self._session, self.identity
        return HostRecord(
            name=self.connection.name,
            reached=session is not None and session.reached,
            error=error,
            identity={"hostname": identity.hostname, "machine_id": identity.machine_id} if identity else {},
            seconds=round(seconds, 3),
            login_user=session.login_user if session else self.connection.user or "",
            become=self.connection.become,
        )


def _beside_each_other(lanes: list[Lane]) -> list[HostError]:
    """Run all lanes; give back what ended some of them. A failure of ours is raised."""
    if len(lanes) == 1:
        return _ended_by(lanes[0])
    with ThreadPoolExecutor(max_workers=MOST_CHANNELS) as pool:
        return [error for errors in pool.map(_ended_by, lanes) for error in errors]


def _ended_by(lane: Lane) -> list[HostError]:
    try:
        lane()
    except HostError as error:
        return [error]
    return []
