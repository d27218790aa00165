"""How a session begins and ends: as the operator's process, as a worker, or as one that only looks."""

from __future__ import annotations

import pytest

from siteproof.errors import BadInput
from siteproof.judging.conclude import unjudged
from siteproof.judging.ledger import Ledger
from siteproof.judging.suite import Suite
from siteproof.plugin import ending, guard, opening, options, place, workers
from siteproof.plugin.asking import ACCESS
from siteproof.plugin.stash import SUITE
from siteproof.previews import plan
from siteproof.results import ExitCode, Result


def begin_session(config: pytest.Config) -> None:
    """Open the run that `--hosts` asks for, or join the controller's."""
    try:
        if (given := workers.from_controller(config)) is not None:
            suite = config.stash[SUITE] = workers.join(config, given)
            config.stash[guard.REDACTOR] = suite.redactor
        elif config.getoption("hosts", None) is not None:
            _open(config)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None


def _open(config: pytest.Config) -> None:
    if not options.judges(config):
        options.without_workers(config)
    ending.heed_signals(config)
    suite = config.stash[SUITE] = opening.open_suite(config)
    config.stash[guard.REDACTOR] = suite.redactor
    config.pluginmanager.register(ending.Ending(config, suite), "siteproof-ending")
    if config.pluginmanager.has_plugin("terminal"):
        config.option.tbstyle = "no" if config.option.tbstyle == "auto" else config.option.tbstyle
        config.option.reportchars = ""


class Results:
    """Keeps the results of this process and of its workers."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (found := getattr(report, "siteproof", None)) is not None:
            self.ledger.add(found if isinstance(found, Result) else Result.from_json(found))


def end_session(session: pytest.Session, suite: Suite, exitstatus: int) -> None:
    """Tell the controller, or write what was judged; and set the exit code."""
    config = session.config
    if workers.from_controller(config) is not None:
        config.workeroutput["siteproof"] = workers.tell(suite)  # type: ignore[attr-defined]
    elif options.only_looks(config):
        if config.option.plan and suite.ledger.shortfalls and exitstatus == ExitCode.HELD:
            session.exitstatus = ExitCode.SHORTFALL
    elif config.option.check_access:
        if not ExitCode.INTERRUPTED <= exitstatus <= ExitCode.BAD_INPUT:
            session.exitstatus = plan.access_exit_code(config.stash.get(ACCESS, None), suite.ledger.shortfalls)
    else:
        _end_of_judging(session, suite, exitstatus)


def _end_of_judging(session: pytest.Session, suite: Suite, exitstatus: int) -> None:
    if session.shouldfail or (session.shouldstop and exitstatus == ExitCode.VIOLATED):
        suite.ledger.stop(ending.STOPPED)
    place.forget(suite.directory)
    suite.plan.name_the_expected()
    for nodeid, why in suite.ledger.deadly.items():
        if nodeid in suite.plan.planned and nodeid not in suite.ledger.results:
            suite.ledger.add(unjudged(suite.plan.planned[nodeid], why))
    session.exitstatus = ending.finish(session.config, suite, int(exitstatus)).exit_code


def close_connections(config: pytest.Config) -> None:
    """End all connections of this process."""
    if (of_a_run := config.pluginmanager.get_plugin("siteproof-ending")) is not None:
        of_a_run.close()
    elif (suite := config.stash.get(SUITE, None)) is not None and suite.gatherer is not None:
        suite.gatherer.close()
