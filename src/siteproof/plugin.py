"""pytest's side: options, subjects, the rounds before the first test, verdicts, the report."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Collection, Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from siteproof import invariants, opening, options, planning, register, rounds, versions
from siteproof.asks import Question
from siteproof.bundle import write_record
from siteproof.errors import BadInput
from siteproof.facts import Case
from siteproof.live import host_parameters, live_host
from siteproof.progress import Progress
from siteproof.report import terminal, write_all
from siteproof.results import Result, Run, Verdict
from siteproof.selection import Here, Make, Planned, Start
from siteproof.suite import Judgement, Suite, plain
from siteproof.verdicts import COMPARED, Comparison

SUITE = pytest.StashKey[Suite]()
PLANNED = pytest.StashKey[Planned]()
JUDGED = pytest.StashKey[Judgement]()
RUN = pytest.StashKey[Run]()
ASKING = pytest.StashKey[Sequence[Start]]()
"""The checks whose questions are asked in this run, also those that only a merge of shards can judge."""

# What stands in for the subjects of a check while there are none to be had.
UNPLANNED = Case("without-hosts", None, {})
UNDECLARED = Case("undeclared", None, {})


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: part of the gate before a maintenance window")
    config.addinivalue_line("markers", "siteproof_case(case): the subject of an invariant (set by the plugin)")
    try:
        if (given := opening.from_controller(config)) is not None:
            config.stash[SUITE] = opening.join(given)
        elif config.getoption("hosts") is not None:
            config.stash[SUITE] = opening.open_suite(config)
            config.option.tbstyle = "no" if config.option.tbstyle == "auto" else config.option.tbstyle
            config.option.reportchars = ""
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Controller: tell a worker which run it belongs to."""
    if (suite := node.config.stash.get(SUITE, None)) is not None:
        node.workerinput["siteproof"] = opening.for_worker(suite, node.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (suite := config.stash.get(SUITE, None)) is not None and suite.gatherer is not None:
        suite.gatherer.close()


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    suite = metafunc.config.stash.get(SUITE, None)
    if (declared := invariants.of(metafunc.function)) is None:
        if "_siteproof_host" in metafunc.fixturenames:
            hosts = host_parameters(metafunc.module, suite) if suite else [None]
            metafunc.parametrize(
                "_siteproof_host", hosts, ids=[h or UNPLANNED.id for h in hosts], scope="module", indirect=True
            )
        return
    hints = {n: t for n, t in typing.get_type_hints(metafunc.function).items() if n != "return"}
    try:
        cases = [UNPLANNED] if suite is None else suite.site.cases(declared.family, hints) or [UNDECLARED]
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize(
        list(hints),
        [
            pytest.param(*(case.arguments.get(n) for n in hints), id=case.id, marks=_marks(case, gate=declared.gate))
            for case in cases
        ],
    )


def _marks(case: Case, *, gate: bool) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.siteproof_case(case)]
    if gate:
        marks.append(pytest.mark.gate)
    if case.absent is not None:
        marks.append(pytest.mark.skip(reason=case.absent))
    return marks


@pytest.fixture(scope="module")
def _siteproof_host(request: pytest.FixtureRequest) -> str:
    return typing.cast(str, request.param)


@pytest.fixture(scope="module")
def host(_siteproof_host: str, request: pytest.FixtureRequest) -> Any:
    """testinfra's Host on the run's own connection: same deadlines, strict host keys, ProbeError for no answer."""
    return live_host(_siteproof_host, request.config.stash[SUITE])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    suite = config.stash.get(SUITE, None)
    asking = [item for item in items if _is_check(item)]
    if suite is None:
        if asking and not config.option.collectonly:
            raise pytest.UsageError(
                f"{asking[0].nodeid.partition('[')[0]} asks hosts, and no --hosts says which: "
                "pytest --hosts=inventory, or --hosts=<a folder under inventories/>"
            )
        return
    left_out: dict[str, list[pytest.Item]] = {}
    asked: list[pytest.Item] = []
    judged: list[pytest.Item] = []
    for item in items:
        planned = item.stash[PLANNED] = _planned(item)
        seen = _seen(item)
        suite.checks_seen[seen.invariant.id] = seen
        if planned.case is UNDECLARED:
            continue  # a shortfall, which the suite says for the whole family
        if (reason := suite.selection.unwanted(planned)) is None:
            asked.append(item)
            reason = suite.selection.elsewhere(planned, _start(item))
        if reason is not None:
            left_out.setdefault(reason, []).append(item)
            continue
        suite.planned[item.nodeid] = planned
        if not suite.selection.cannot_judge(planned, _start(item)):
            judged.append(item)
    for reason, some in left_out.items():
        suite.remarks.append(f"left out: {reason}: {', '.join(item.stash[PLANNED].name for item in some)}")
        config.hook.pytest_deselected(items=some)
    items[:] = judged
    config.stash[ASKING] = [(item.stash[PLANNED], start) for item in asked if (start := _start(item)) is not None]
    suite.follows = {p.invariant.id: p.invariant.follows for p in suite.planned.values()}


def _is_check(item: pytest.Item) -> bool:
    declared = invariants.of(getattr(item, "obj", None)) is not None
    return declared or "_siteproof_host" in getattr(item, "fixturenames", ())


def _planned(item: pytest.Item) -> Planned:
    declared = invariants.of(getattr(item, "obj", None))
    if declared is not None and (mark := item.get_closest_marker("siteproof_case")) is not None:
        return Planned(declared, mark.args[0], item.nodeid)
    name = getattr(item, "originalname", None) or item.name
    callspec = getattr(item, "callspec", None)
    subject = callspec.id if callspec else item.path.stem
    host = callspec.params.get("_siteproof_host") if callspec else None
    sentence = name.removeprefix("test_").replace("_", " ")
    return Planned(plain(name, f"{sentence[:1].upper()}{sentence[1:]}."), Case(subject, host, {}), item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Ask everything, round by round, before the first check is judged."""
    config = session.config
    suite = config.stash.get(SUITE, None)
    if suite is None or options.only_looks(config):
        return
    if suite.gatherer is None:
        suite.doubt()  # a replay; nothing is known of anybody else
        return
    checks = [make for _, make in config.stash[ASKING]]
    progress = Progress(config)
    if config.option.check_access:
        for line in planning.check_access(suite, progress, checks):
            _say(config, line)
        return
    gatherer = suite.gatherer
    here = Here(suite.store, suite.site.inventory.selected)
    tools = versions.Asking()

    def ask(number: int, questions: Collection[Question]) -> None:
        progress.round(number, [*questions, *tools.beside(questions)], gatherer.ask)

    rounds.gather(checks, here, ask)
    suite.doubt()


def _start(item: pytest.Item) -> Make | None:
    """What starts the check of an item; None for one that asks nothing that could be known before it runs."""
    function, case = getattr(item, "obj", None), item.stash[PLANNED].case
    if case.absent is not None or not inspect.iscoroutinefunction(function):
        return None
    return lambda: function(**case.arguments)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """`--plan`, `--sudoers`, `--register` and `--check-access` judge nothing."""
    config = session.config
    suite = config.stash.get(SUITE, None)
    if suite is None or not (options.only_looks(config) or config.option.check_access):
        return None
    if config.option.register:
        _register(config, suite)
    if config.option.plan:
        for line in planning.plan(suite, config.stash[ASKING]):
            _say(config, line)
    if config.option.sudoers:
        try:
            config.option.sudoers.write_text(planning.sudoers(suite, config.stash[ASKING]))
        except BadInput as error:
            raise pytest.UsageError(str(error)) from None
        _say(config, f"what runs as root is in {config.option.sudoers}")
    return None if config.option.collectonly else True


def _register(config: pytest.Config, suite: Suite) -> None:
    path, proof = config.option.register, config.option.proof
    try:
        found = register.entries(suite.checks_seen, sorted(config.rootpath.glob(config.getini("siteproof_faults"))))
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    register.write(path, found)
    _say(config, f"{len(found)} checks are in {path}")
    if said := register.unproven(found, None if proof is None else json.loads(proof.read_text())):
        raise pytest.UsageError("\n".join(said))


def _seen(item: pytest.Item) -> invariants.SeenCheck:
    function = getattr(item, "obj", None)
    asks = invariants.probes_of(function) if inspect.isfunction(function) else ()
    return invariants.SeenCheck(item.stash[PLANNED].invariant, item.nodeid.partition("[")[0], asks)


def _say(config: pytest.Config, line: str) -> None:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    suite = pyfuncitem.config.stash.get(SUITE, None)
    if suite is None or invariants.of(pyfuncitem.obj) is None:
        return None
    error, judgement = suite.judge(pyfuncitem.obj(**pyfuncitem.stash[PLANNED].case.arguments))
    pyfuncitem.stash[JUDGED] = judgement
    if error is not None:
        raise error
    return True


def pytest_assertrepr_compare(op: str, left: object, right: object) -> None:
    if (compared := COMPARED.get()) is not None:
        compared.append(Comparison(op, left, right))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The one place where what happened becomes a verdict."""
    found = yield
    suite = item.config.stash.get(SUITE, None)
    if suite is None or PLANNED not in item.stash:
        return found
    planned = item.stash[PLANNED]
    if call.when == "setup" and found.skipped and planned.case.absent is not None:
        found.siteproof = suite.not_applicable(planned)  # type: ignore[attr-defined]
    elif found.skipped and not planned.invariant.family and call.excinfo is not None:
        reason = Case(planned.case.id, planned.case.host, {}, str(call.excinfo.value))
        found.siteproof = suite.not_applicable(replace(planned, case=reason))  # type: ignore[attr-defined]
    elif call.when == "call" or call.excinfo is not None:
        error = call.excinfo.value if call.excinfo else None
        result = suite.conclude(planned, error, item.stash.get(JUDGED, None) or suite.heard())
        _translate(found, result)
    if call.when == "teardown" and JUDGED in item.stash:
        del item.stash[JUDGED]
    return found


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable(report: Any) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """Worker: a result crosses to the controller as plain data."""
    data = yield
    if data is not None and isinstance(result := data.get("siteproof"), Result):
        data["siteproof"] = result.to_json()
    return data


def _translate(found: pytest.TestReport, result: Result) -> None:
    """pytest's words for a verdict: passed, failed, error (a failure that is not in the call), xfailed."""
    found.siteproof = result  # type: ignore[attr-defined]
    found.__dict__.pop("wasxfail", None)
    found.longrepr = None if result.verdict is Verdict.HELD else f"{result.verdict}: {result.message}"
    if result.verdict is Verdict.HELD:
        found.outcome = "passed"
    elif result.verdict is Verdict.WAIVED:
        found.outcome = "skipped"
        found.wasxfail = result.waiver or ""
    else:
        found.outcome = "failed"
        if result.verdict is Verdict.UNKNOWN and found.when == "call":
            found.when = "setup"


class _Results:
    """Keeps the results of this process and of its workers."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (found := getattr(report, "siteproof", None)) is not None:
            result = found if isinstance(found, Result) else Result.from_json(found)
            before = self.suite.results.get(result.nodeid)
            if before is None or before.verdict is Verdict.HELD:
                self.suite.results[result.nodeid] = result


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if (suite := session.config.stash.get(SUITE, None)) is not None:
        session.config.pluginmanager.register(_Results(suite), "siteproof-results")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Controller: a worker has ended; take over its plan and what it noticed."""
    suite = node.config.stash.get(SUITE, None)
    told = getattr(node, "workeroutput", {}).get("siteproof")
    if suite is None or told is None:
        return
    opening.take_over(suite, told)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    suite = config.stash.get(SUITE, None)
    if suite is None:
        return
    if opening.from_controller(config) is not None:
        config.workeroutput["siteproof"] = opening.tell(suite)  # type: ignore[attr-defined]
        return
    if options.only_looks(config):
        return
    if config.option.check_access:
        session.exitstatus = planning.access_exit_code(suite)
        return
    judged = datetime.now(UTC)
    if not suite.replayed:
        write_record(suite.directory, opening.record_of(suite, judged))
    run = suite.run(pytest_exit=int(exitstatus), judged=judged)
    config.stash[RUN] = run
    write_all(run, suite.directory)
    session.exitstatus = run.exit_code


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if (run := config.stash.get(RUN, None)) is None:
        return
    writer = terminalreporter._tw
    terminalreporter.ensure_newline()
    for line in terminal.lines(run, width=writer.fullwidth, colour=writer.hasmarkup, verbose=config.option.verbose):
        terminalreporter.write_line(line)
