"""How a run ends, also when something of it has failed: what was judged is written and said, and 1 means violated.

What fails inside is a sentence and exit code 3. Nothing that fails here keeps the rest from being written.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any

import pytest

from siteproof.evidence import known_machines
from siteproof.evidence.bundle import write_record
from siteproof.evidence.store import Blank
from siteproof.judging.run import put_together
from siteproof.judging.suite import Suite
from siteproof.plugin import opening
from siteproof.plugin.guard import escape_of
from siteproof.plugin.options import judges
from siteproof.report import announce, terminal, without_secrets, write_files
from siteproof.results import ExitCode, Run, iso
from siteproof.text.characters import printable
from siteproof.text.crossing import encodable

STOPPED = "stopped early, as was asked for"
RUN = pytest.StashKey[Run]()
SAID = pytest.StashKey[bool]()
"""The end of the run was printed."""


def failed(what: str, error: BaseException) -> str:
    """The sentence about a failure inside."""
    reason = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
    return f"{what}: {reason}"


def finish(config: pytest.Config, suite: Suite, pytest_exit: int) -> Run:
    """Write what was judged, each report on its own."""
    judged = datetime.now(UTC)
    if not suite.replayed:
        try:
            write_record(suite.directory, opening.record_of(suite, judged), suite.redactor)
        except Exception as error:  # noqa: BLE001 - the reports can still be written
            suite.ledger.fail(failed("run.json could not be written", error))
        _remember_machines(suite, judged)
    if pytest_exit == ExitCode.INTERRUPTED and suite.ledger.stopped:
        pytest_exit = ExitCode.VIOLATED  # not interrupted: ended early, as the operator wanted it
    run = config.stash[RUN] = _run(suite, pytest_exit, judged)
    redactor = suite.redactor
    if unwritten := [*write_files(run, suite.directory, redactor), *announce(run, suite.directory, redactor)]:
        for said in unwritten:
            suite.ledger.fail(said)
        run = config.stash[RUN] = _run(suite, pytest_exit, judged)
        write_files(run, suite.directory, redactor)  # once more, since all of them have the exit code
    return run


def _remember_machines(suite: Suite, judged: datetime) -> None:
    if suite.site.lab is not None or isinstance(suite.store, Blank):
        return
    try:
        suite.judge.doubt()
        machines = suite.judge.machines()
        known_machines.remember(suite.directory.parent, suite.site.inventory.source, machines, str(judged.date()))
    except Exception as error:  # noqa: BLE001 - the next run will know less, and this one is as it is
        suite.ledger.fail(failed("what machines the hosts are could not be kept", error))


def _run(suite: Suite, pytest_exit: int, judged: datetime) -> Run:
    try:
        return without_secrets(put_together(suite, pytest_exit=pytest_exit, judged=judged), suite.redactor)
    except Exception as error:  # noqa: BLE001 - the results are there, whatever else is not
        suite.ledger.fail(failed("siteproof failed while the results were put together", error))
        return Run(
            started=iso(judged),  # when it really did may be what failed
            finished=iso(judged),
            inventory=suite.site.inventory.source,
            directory=str(suite.directory),
            planned=len(suite.plan.planned),
            results=tuple(suite.ledger.results[nodeid] for nodeid in sorted(suite.ledger.results)),
            hosts=(),
            remarks=tuple(suite.ledger.failures),
            gate=suite.selection.gate,
            pytest_exit=ExitCode.FAILED_INSIDE,
        )


def say(config: pytest.Config, reporter: Any) -> None:
    """Print how the run ended, once."""
    if (run := config.stash.get(RUN, None)) is None or config.stash.get(SAID, False):
        return
    config.stash[SAID] = True
    writer = reporter._tw
    reporter.ensure_newline()
    try:
        said = terminal.lines(
            run,
            width=writer.fullwidth,
            colour=writer.hasmarkup,
            verbose=getattr(config.option, "verbose", 0),
            escape=escape_of(writer),
        )
    except Exception:
        counts = ", ".join(f"{count} {what}" for what, count in run.summary.items())
        reporter.write_line(f"{counts}: {run.directory}")
        raise  # Ending says what it was
    for line in said:
        reporter.write_line(line)


class Ending:
    """The hooks of a run's own process that see it end, however it does."""

    def __init__(self, config: pytest.Config, suite: Suite) -> None:
        self.config = config
        self.suite = suite
        self.session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        _mend_stdout(self.config)
        self.suite.ledger.fail(failed("pytest or a plugin of it failed", excinfo.value))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """`--maxfail` under xdist and `--stepwise` end a run as Ctrl-C does."""
        said = str(excinfo.value)
        kind = type(excinfo.value)
        own = issubclass(kind, pytest.Session.Interrupted) or kind.__module__ == "xdist.dsession"
        if own and "keyboard-interrupt" not in said and "during collection" not in said:
            self.suite.ledger.stop(STOPPED)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.passed:
            return
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext
        lines = [line.removeprefix("E ").strip() for line in reason.splitlines() if line.strip()]
        why = encodable(lines[-1]).removeprefix("Skipped: ") if lines else "no reason was given"
        what = "skipped itself" if report.skipped else "could not be read"
        who = report.nodeid or "the checks"
        self.suite.ledger.fall_short(f"{who} {what}, so that nothing of it was planned: {why}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, object, object]:
        """Around all others, of which any may fail: then pytest would leave with 1 and say nothing."""
        found: object = None
        try:
            found = yield
        except Exception as error:  # noqa: BLE001
            _mend_stdout(self.config)
            self._fail(session, failed("siteproof, pytest or a plugin of it failed at the end of the run", error))
        if judges(self.config) and self.config.stash.get(RUN, None) is None:
            try:
                session.exitstatus = finish(self.config, self.suite, ExitCode.FAILED_INSIDE).exit_code
            except Exception as error:  # noqa: BLE001
                self._fail(session, failed("the results could not be put together", error))
        try:
            if (reporter := self.config.pluginmanager.get_plugin("terminalreporter")) is not None:
                say(self.config, reporter)
            sys.stdout.flush()
        except Exception as error:  # noqa: BLE001
            _mend_stdout(self.config)
            self._fail(session, failed("the end of the run could not be printed", error))
        return found

    def close(self) -> None:
        """End all connections. What goes wrong with that is said, and is not what was found."""
        try:
            if self.suite.gatherer is not None:
                self.suite.gatherer.close()
        except Exception as error:  # noqa: BLE001
            self._fail(self.session, failed("the connections could not be ended", error))

    def failed_at_last(self, error: Exception) -> int:
        """Something else failed after all was said and written. Gives the exit code."""
        self.close()
        self._fail(self.session, failed("pytest or a plugin of it failed after the end of the run", error))
        return ExitCode.FAILED_INSIDE

    def _fail(self, session: pytest.Session | None, said: str) -> None:
        self.suite.ledger.fail(said)
        if session is not None:
            session.exitstatus = ExitCode.FAILED_INSIDE
        if self.config.stash.get(RUN, None) is not None:  # the reports do not know of it
            with suppress(Exception):  # they may be what failed
                run = self.config.stash[RUN] = _run(self.suite, ExitCode.FAILED_INSIDE, datetime.now(UTC))
                write_files(run, self.suite.directory, self.suite.redactor)
        with suppress(Exception):
            print(f"siteproof: {printable(self.suite.redactor.text(said))}", file=sys.stderr, flush=True)


def _mend_stdout(config: pytest.Config) -> None:
    """Whoever read it has gone, or the disk is full: the rest is said to nobody, so that the run can end in its way."""
    if (capturing := config.pluginmanager.get_plugin("capturemanager")) is not None:
        capturing.stop_global_capturing()  # it has the real one put away
    try:
        print(flush=True)  # what failed to be written before is forgotten: only a new line tells
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)


def heed_signals(config: pytest.Config) -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does: what was judged is written, and no process stays behind.

    A second one ends it at once.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):  # not the main thread
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, interrupt)
                config.add_cleanup(partial(_as_before, number))


def _as_before(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
