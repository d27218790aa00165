"""One run: the site, its evidence, and what was found. pytest knows nothing of this; `plugin` connects the two."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Protocol

from siteproof.asks import Check, Command, Output, Question, heaviest
from siteproof.errors import BadInput, WrongHost
from siteproof.evidence.bundle import Replay
from siteproof.evidence.store import Store
from siteproof.facts import Site, Waiver
from siteproof.facts.declared import CITED, Citation, declared_at
from siteproof.gather.base import Gatherer
from siteproof.invariants import Invariant, SeenCheck
from siteproof.judging import rounds
from siteproof.judging.missing_hosts import overlooked
from siteproof.judging.selection import Here, Planned, Selection
from siteproof.judging.verdicts import COMPARED, Comparison, outcome, violates
from siteproof.probes.common import versions
from siteproof.results import EvidenceRef, ExitCode, HostResult, Result, Run, Verdict, iso
from siteproof.text.crossing import encodable
from siteproof.text.redaction import REDACTED, Redactor

SHOWN_CHARACTERS = 2000


class Place(Protocol):
    """Where a process says which check it drives, for whoever finds it dead."""

    def at(self, nodeid: str) -> None:
        """Empty for none."""


@dataclass
class Judgement:
    """What is known once a check was judged."""

    trace: rounds.Trace
    cited: list[Citation]
    compared: list[Comparison]


@dataclass
class Suite:
    """The state of a run in one process. Under xdist each worker has one, and the controller has one."""

    site: Site
    directory: Path
    nonce: str
    store: Store
    gatherer: Gatherer | None
    checks: Path
    """The directory of the checks: an AssertionError from below it is a violation."""
    started: datetime
    """The clock of the run; of a replay, that of its bundles."""
    selection: Selection
    planned: dict[str, Planned] = field(default_factory=dict)
    """By node id."""
    results: dict[str, Result] = field(default_factory=dict)
    follows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Check id -> the ids that it follows from."""
    remarks: list[str] = field(default_factory=list)
    tools: dict[str, set[str]] = field(default_factory=dict)
    """Host -> the tools that were asked about there."""
    access_failed: bool | None = None
    """None until hosts were asked."""
    whole: bool = False
    """Nothing that the operator typed leaves out any check or host."""
    lost: list[str] = field(default_factory=list)
    """Hosts that the run before this one looked at and that the inventory has no more, as a sentence."""
    doubted: dict[str, str] = field(default_factory=dict)
    """Host -> why what it says may be another's answer."""
    live: dict[str, Question] = field(default_factory=dict)
    """What the plain check that runs now has asked."""
    checks_seen: dict[str, SeenCheck] = field(default_factory=dict)
    """Id -> every check that was collected, also those that this site has no subject for."""
    failures: list[str] = field(default_factory=list)
    """Sentences: what failed inside. A run with one leaves with exit code 3, whatever it found."""
    shortfalls: list[str] = field(default_factory=list)
    """Sentences: what was not even planned, such as a file of checks that cannot be read."""
    stopped: str = ""
    """Why the rest was not judged, where the operator wanted it so: -x, --maxfail, --stepwise."""
    deadly: dict[str, str] = field(default_factory=dict)
    """Node id -> why nobody runs this check again: it ended the process that did."""
    expected: set[str] = field(default_factory=set)
    """Node ids that the workers were given to judge."""
    unjudgeable: set[str] = field(default_factory=set)
    """Node ids of what is planned although none of the bundles has all of its hosts."""
    place: Place | None = None
    """Where a worker says what it drives."""

    _files: dict[str, str] = field(default_factory=dict, init=False)
    """Host -> its file of evidence, from the run's directory."""

    def at(self, nodeid: str) -> None:
        """Say which check is driven now; empty for none."""
        if self.place is not None:
            self.place.at(nodeid)

    @property
    def _here(self) -> Here | Store:
        """In a part of the site nobody has asked the other hosts."""
        return self.store if self.selection.every_host else Here(self.store, self.selection.hosts)

    def judge(self, check: Check) -> tuple[BaseException | None, Judgement]:
        """Run a check on the evidence; gives what it raised, if anything, and what it read on its way."""
        judgement = Judgement(rounds.Trace(), [], [])
        cited, compared = CITED.set(judgement.cited), COMPARED.set(judgement.compared)
        try:
            rounds.judge(check, self._here, judgement.trace)
        except AssertionError as error:
            return self._doubt_of(judgement.trace) or error, judgement
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - `verdicts` says what it means
            return error, judgement
        finally:
            CITED.reset(cited)
            COMPARED.reset(compared)
        return self._doubt_of(judgement.trace), judgement

    def heard(self) -> Judgement:
        """What a plain check has asked, once it has ended."""
        asked, self.live = self.live, {}
        return Judgement(rounds.Trace(asked=asked), [], [])

    def _doubt_of(self, trace: rounds.Trace) -> WrongHost | None:
        said = next((self.doubted[q.host] for q in trace.asked.values() if q.host in self.doubted), None)
        return None if said is None else WrongHost(said)

    def doubt(self) -> None:
        """Believe neither of two hosts that are one machine, unless the inventory says that they are."""
        if isinstance(self.store, Replay):
            self.doubted |= self.store.unknown_hosts
        by_machine: dict[str, list[str]] = {}
        for name, record in sorted(self.store.host_records().items()):
            machine = record.identity.get("machine_id")
            if machine and REDACTED not in machine:  # what is secret of one tells nothing of two
                by_machine.setdefault(machine, []).append(name)
        for pair in (pair for names in by_machine.values() for pair in combinations(names, 2)):
            if not self.site.same_machine(*pair):
                said = (
                    f"{' and '.join(pair)} have the same machine-id: one of them is not the host that the inventory "
                    "says, or both are one (then say so: siteproof_alias_of)"
                )
                self.doubted |= dict.fromkeys(pair, said)

    def conclude(self, planned: Planned, error: BaseException | None, judgement: Judgement | None) -> Result:
        """The result of one check on one subject, waivers applied."""
        try:
            return self._concluded(planned, error, judgement)
        except Exception as failure:  # noqa: BLE001 - it must not take the results of others with it
            said = f"siteproof failed over what was seen: {type(failure).__name__}: {failure}"
            verdict = Verdict.VIOLATED if violates(error, self.checks) else Verdict.UNKNOWN
            return self._waived(self._without_evidence(planned, verdict, said[:SHOWN_CHARACTERS]))

    def unjudged(self, planned: Planned, why: str) -> Result:
        """The unknown result of a check that was not judged to its end."""
        return self._without_evidence(planned, Verdict.UNKNOWN, why)

    def not_applicable(self, planned: Planned) -> Result:
        """The result of a check that the inventory declares away."""
        return self._without_evidence(planned, Verdict.NOT_APPLICABLE, planned.case.absent or "")

    def _without_evidence(self, planned: Planned, verdict: Verdict, message: str) -> Result:
        invariant, case = planned.invariant, planned.case
        return Result(
            id=invariant.id,
            check=invariant.sentence,
            subject=case.id,
            host=case.host,
            verdict=verdict,
            severity=invariant.severity,
            probe_class=planned.probe_class,
            nodeid=planned.nodeid,
            message=message,
            incident=invariant.incident,
            remedy=invariant.remedy,
        ).encodable()

    def _concluded(self, planned: Planned, error: BaseException | None, judgement: Judgement | None) -> Result:
        found = outcome(error, judgement.compared if judgement else [], self.checks)
        trace = judgement.trace if judgement else rounds.Trace()
        invariant, case = planned.invariant, planned.case
        for question in trace.asked.values():
            if isinstance(question, Command):
                self.tools.setdefault(question.host, set()).update(question.tools)
        tries = [self._tries(question, trace) for question in trace.asked.values()]
        result = Result(
            id=invariant.id,
            check=invariant.sentence,
            subject=case.id,
            host=case.host,
            verdict=found.verdict,
            severity=invariant.severity,
            probe_class=heaviest(trace.asked.values()) if trace.asked else planned.probe_class,
            nodeid=planned.nodeid,
            message=found.message,
            expected=found.expected,
            seen=found.seen,
            declared_at=declared_at(judgement.cited, found.expectation) if judgement else None,
            incident=invariant.incident,
            remedy=invariant.remedy,
            notes=tuple(trace.remarks.notes),
            attempts=max((count for count, _ in tries), default=1),
            blocked_by=found.blocked_by,
            duration_s=round(sum(seconds for _, seconds in tries), 3),
            evidence=tuple(self._shown(q, trace) for q in trace.asked.values()),
        )
        return self._waived(result.encodable())

    def _tries(self, question: Question, trace: rounds.Trace) -> tuple[int, float]:
        """How often a question was asked, and how many seconds that took in all."""
        answer = trace.recorded.get(question.key)
        if isinstance(answer, Output) and not question.retries:
            return 1, answer.seconds
        found = self.store.evidence(question)
        attempts = found.attempts if found else ()
        return len(attempts) if question.retries else 1, sum(attempt.seconds for attempt in attempts)

    def _waived(self, result: Result) -> Result:
        today = datetime.now(UTC).date()
        for waiver in self.waivers_of(result.id, result.host):
            if waiver.until < today:
                said = f"a waiver of {waiver.owner} expired on {waiver.until}: {waiver.reason}"
                result = replace(result, notes=(*result.notes, said))
            elif result.verdict is Verdict.VIOLATED:
                said = f"{waiver.owner}, until {waiver.until}: {waiver.reason}"
                return replace(result, verdict=Verdict.WAIVED, waiver=said)
            elif result.verdict is Verdict.HELD:
                said = f"held, although {waiver.owner} waived it until {waiver.until}: the waiver can go"
                result = replace(result, notes=(*result.notes, said), waiver="healed")
        return result

    def waivers_of(self, id: str, host: str | None) -> list[Waiver]:
        """The waivers that speak of a check on a host."""
        every = zip(self.site.waivers, self.site.waiver_hosts, strict=True)
        return [w for w, hosts in every if w.id == id and (host is None or host in hosts)]

    def _shown(self, question: Question, trace: rounds.Trace) -> EvidenceRef:
        answer = trace.recorded.pop(question.key, None) or self.store.get(question)  # popped: it may be large
        if isinstance(answer, Output):
            text = answer.text if answer.stdout.isascii() or _is_text(answer.stdout) else f"{len(answer.stdout)} bytes"
            text = "\n".join(part for part in (text.strip("\n"), answer.errors.strip("\n")) if part)
        else:
            text = str(answer or "never asked")
        text = self.redactor.text(text)  # before it is cut: a bundle may be older than the vault
        if len(text) > SHOWN_CHARACTERS:
            text = f"{text[:SHOWN_CHARACTERS]}\n… {len(text) - SHOWN_CHARACTERS} more characters in the evidence file"
        return EvidenceRef(question.host, encodable(question.probe), self._file_of(question.host), question.key, text)

    def _file_of(self, host: str) -> str:
        if host not in self._files:
            self._files[host] = os.path.relpath(self.store.file_of(host), self.directory)
        return self._files[host]

    @cached_property
    def redactor(self) -> Redactor:
        return Redactor(self.site.inventory.secrets)

    def run(self, *, pytest_exit: int, judged: datetime) -> Run:
        """The run as reports tell it. A replay ended when its bundles did, and is judged now."""
        results = self._follow(sorted(self.results.values(), key=lambda r: r.nodeid))
        return Run(
            started=iso(self.started),
            finished=iso(self.store.finished if isinstance(self.store, Replay) else judged),
            judged=iso(judged),
            replayed=tuple(os.path.relpath(d, self.directory) for d in self.replayed),
            inventory=self.site.inventory.source,
            directory=str(self.directory),
            planned=len(self.planned),
            results=tuple(results),
            hosts=tuple(self._hosts()),
            shortfalls=tuple(self._shortfalls()),
            remarks=(*self.failures, *self.remarks, *self._unused_waivers(results)),
            gate=self.selection.gate,
            follows=self.follows,
            pytest_exit=ExitCode.FAILED_INSIDE if self.failures else pytest_exit,
        )

    @property
    def replayed(self) -> tuple[Path, ...]:
        """The bundles that are judged instead of hosts asked."""
        return self.store.directories if isinstance(self.store, Replay) else ()

    def _follow(self, results: Iterable[Result]) -> list[Result]:
        found = list(results)
        violated = [r for r in found if r.verdict is Verdict.VIOLATED]
        looked_at = {(r.id, r.host) for r in found}

        def root(result: Result) -> Result | None:
            for id in self.follows.get(result.id, ()):
                anywhere = (id, result.host) not in looked_at
                for other in violated:
                    if other.id == id and (anywhere or other.host == result.host):
                        return other
            return None

        roots = {r.name: root(r) for r in violated}
        return [replace(r, follows_from=above.name) if (above := roots.get(r.name)) else r for r in found]

    def _shortfalls(self) -> list[str]:
        said = [
            f"{family}: neither declared (siteproof_{family}) nor listed with a reason in siteproof_absent"
            for family in self.site.undeclared
        ]
        said += self.lost
        if self.whole:
            cases = (self.planned[nodeid].case for nodeid in self.deadly if nodeid in self.planned)
            given_up = {case.host for case in cases if case.host}
            said += overlooked(self.site, self.store.host_records().keys() | given_up)
        if unasked := sorted(self.selection.unasked):
            said.append(f"in none of the bundles: {', '.join(unasked)}")
        said += self.shortfalls
        if missing := [p.name for n, p in self.planned.items() if n not in self.results]:
            why = f"{self.stopped}: not judged" if self.stopped else "planned and not judged"
            said.append(f"{why}: {', '.join(sorted(missing))}")
        return said

    def _unused_waivers(self, results: Sequence[Result]) -> list[str]:
        return [
            f"the waiver of {w.id} on {w.hosts} ({w.owner}, until {w.until}) was not needed by any check of this run"
            for w, hosts in zip(self.site.waivers, self.site.waiver_hosts, strict=True)
            if not any(r.id == w.id and (r.host is None or r.host in hosts) for r in results)
        ]

    def _hosts(self) -> list[HostResult]:
        return [
            HostResult(
                name=record.name,
                reached=record.reached,
                error=None if record.error is None else str(record.error),
                identity=dict(record.identity),
                seconds=round(record.seconds, 3),
                tools=tuple(sorted(self.tools.get(record.name, ()))),
                versions=versions.read(self.store, record.name, self.tools.get(record.name, ())),
                login_user=record.login_user,
            )
            for _, record in sorted(self.store.host_records().items())
        ]


def new_directory(reports: Path, started: datetime) -> Path:
    """`<reports>/<UTC to ms>-<pid>`. What is made here is its owner's alone, whatever the umask. Raises BadInput."""
    stamp = started.strftime("%Y%m%dT%H%M%S.") + f"{started.microsecond // 1000:03d}Z"
    directory = reports / f"{stamp}-{os.getpid()}"
    try:
        for missing in [path for path in (reports, *reports.parents) if not path.exists()][::-1]:
            missing.mkdir(mode=0o700)
        directory.mkdir(mode=0o700)
    except (OSError, RuntimeError) as error:  # Python 3.11 has a RuntimeError for a loop of links
        raise BadInput(f"--reports {reports}: no run can be kept there: {_reason(error)}") from None
    return directory


def _reason(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def new_nonce() -> str:
    """What the run's borrowed things are named with."""
    return secrets.token_hex(6)


def plain(name: str, sentence: str, severity: str = "medium") -> Invariant:
    """The register entry of a test that is not declared an invariant."""
    return Invariant(
        id=re.sub(r"_+", "-", name.removeprefix("test_")).strip("-"),
        sentence=sentence,
        family="",
        severity=severity,  # type: ignore[arg-type]
        incident="",
        remedy="",
        gate=False,
        also=(),
        follows=(),
    )


def merged(stores: Iterable[Mapping[str, set[str]]]) -> dict[str, set[str]]:
    """The tools of several processes, by host."""
    tools: dict[str, set[str]] = {}
    for each in stores:
        for host, names in each.items():
            tools.setdefault(host, set()).update(names)
    return tools


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data
