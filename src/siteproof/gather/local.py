"""The gatherer itself: one thread per host, bounded."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations

from siteproof.asks import Consent, Earlier, Output, Question
from siteproof.errors import NotAllowed, ProbeError, Unreachable
from siteproof.evidence import earlier
from siteproof.evidence.store import Attempt, Store
from siteproof.gather.base import BUDGET_S, WITHOUT_OPTIONS, Gatherer, Phase, Progress, Report
from siteproof.gather.budget import Budget
from siteproof.gather.host import Host, Round
from siteproof.transport.batch import RunContext
from siteproof.transport.connection import Connection
from siteproof.transport.ssh.dial import Dialer

_log = logging.getLogger(__name__)


class LocalGatherer(Gatherer):
    """Connects from this process. Thread-safe: a question that several ask at once is asked once."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        store: Store,
        run_nonce: str,
        *,
        consent: Consent = WITHOUT_OPTIONS,
        fanout: int = 64,
        byte_cap: int = 4 << 20,
        budget_s: float = BUDGET_S,
    ) -> None:
        self._store = store
        self._consent = consent
        self._fanout = fanout
        self._dialer = Dialer()
        run = RunContext(run_nonce, byte_cap)
        self._hosts = {name: Host(connection, self._dialer, run, store) for name, connection in connections.items()}
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._being_asked: dict[str, threading.Event] = {}
        self._budget = Budget(budget_s, self._over_budget)

    def ask(self, questions: Collection[Question], progress: Report | None = None) -> None:
        missing = {question.key: question for question in questions if question not in self._store}
        missing = {key: question for key, question in missing.items() if self._allows(question)}
        while missing:
            ours, others = self._claim(missing.values())
            try:
                self._ask(ours, progress)
            finally:
                self._release(ours)
            for answered in others:
                answered.wait()
            missing = {key: question for key, question in missing.items() if question not in self._store}

    def _allows(self, question: Question) -> bool:
        """Whether it may be asked at all. Where not, that is what stands in the evidence."""
        if (why := self._consent.against(question.probe_class)) is None:
            return True
        said = f"{question.probe} on {question.host} was not asked: {why}"
        with self._lock:  # several workers may want to know
            if question not in self._store:
                self._store.add(question, Attempt(time.time(), 0.0, NotAllowed(said, host=question.host)))
        return False

    def run(self, host: str, command: str, timeout_s: float) -> Output:
        if host not in self._hosts:
            raise _unknown(host)
        return self._hosts[host].run(command, timeout_s)

    @property
    def duplicates(self) -> list[tuple[str, str]]:
        by_machine = defaultdict(list)
        for name, host in sorted(self._hosts.items()):
            if host.identity and host.identity.machine_id:
                by_machine[host.identity.machine_id].append(name)
        return [pair for names in by_machine.values() for pair in combinations(names, 2)]

    def close(self) -> None:
        for host in self._hosts.values():
            host.close()
        self._dialer.close()
        self._budget.close()

    def _over_budget(self) -> None:
        """Nobody is asked any longer, and whoever waits for a host is woken."""
        for name, host in self._hosts.items():
            host.close(self._budget.over(name))

    def _claim(self, questions: Iterable[Question]) -> tuple[list[Question], set[threading.Event]]:
        """The questions nobody asks yet, and what is set when the others are answered."""
        ours, others = [], set()
        all_answered = threading.Event()
        with self._lock:
            for question in questions:
                if (answered := self._being_asked.get(question.key)) is not None:
                    others.add(answered)
                elif question not in self._store:
                    self._being_asked[question.key] = all_answered
                    ours.append(question)
        return ours, others

    def _release(self, questions: Iterable[Question]) -> None:
        with self._lock:
            for question in questions:
                self._being_asked.pop(question.key).set()

    def _ask(self, questions: Collection[Question], progress: Report | None) -> None:
        by_host = defaultdict(list)
        for question in questions:
            if isinstance(question, Earlier):
                self._store.add(question, earlier.answer(question, self._store))
            else:
                by_host[question.host].append(question)
        if not by_host:
            return
        self._budget.begin()
        pool = ThreadPoolExecutor(max_workers=min(self._fanout, len(by_host)), thread_name_prefix="ask")
        try:
            for asked in as_completed([pool.submit(self._ask_host, *each, progress) for each in by_host.items()]):
                asked.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            self.close()  # so that no thread waits for its host any longer
            raise
        pool.shutdown()

    def _ask_host(self, name: str, questions: Collection[Question], progress: Report | None) -> None:
        tracker = _Tracker(name, len(questions), progress, self._telling)
        round_ = Round(name, questions, self._store, tracker.left)
        with self._budget.covers(round_):
            self._ask_round(name, round_, tracker)

    def _ask_round(self, name: str, round_: Round, tracker: _Tracker) -> None:
        tracker.say("connecting")
        try:
            if name not in self._hosts:
                raise _unknown(name)
            reached = self._hosts[name].ask(round_, lambda: tracker.say("asking"))
        except ProbeError as error:
            reached = False
            round_.fail_all(error)
        except Exception as error:  # noqa: BLE001 - a bug of ours is said by name and never an answer
            _log.exception("while asking %s", name)
            reached = False
            round_.fail_all(ProbeError(f"siteproof failed while asking {name}: {type(error).__name__}: {error}"))
        tracker.say("done" if reached else "failed")


@dataclass
class _Tracker:
    """Tells how far a host is, one at a time of all hosts."""

    host: str
    total: int
    report: Report | None
    telling: threading.Lock
    done: int = field(default=0, init=False)
    _phase: Phase = field(default="connecting", init=False)

    def say(self, phase: Phase) -> None:
        with self.telling:
            self._phase = phase
            self._tell()

    def left(self, questions: int) -> None:
        with self.telling:
            self.done = self.total - questions
            self._tell()

    def _tell(self) -> None:
        if self.report is not None:
            with suppress(Exception):  # whoever looks on may have gone, which is no answer of the host's
                self.report(Progress(self.host, self._phase, self.done, self.total))


def _unknown(host: str) -> Unreachable:
    return Unreachable(f"{host}: no connection is known for it", host=host)
