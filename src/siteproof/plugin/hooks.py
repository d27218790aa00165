"""pytest's side: options, subjects, the rounds before the first test, verdicts, the report."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Collection, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siteproof import invariants
from siteproof.asks import CLASSES, Check, Question
from siteproof.errors import BadInput, ProbeError
from siteproof.facts import Case
from siteproof.judging import rounds
from siteproof.judging.conclude import not_applicable, unjudged
from siteproof.judging.judge import Judgement
from siteproof.judging.ledger import Ledger
from siteproof.judging.plan import Make, Planned, undeclared
from siteproof.judging.selection import Here
from siteproof.judging.stand_ins import NOTHING, foreseen
from siteproof.judging.suite import Suite
from siteproof.judging.verdicts import COMPARED, Comparison
from siteproof.plugin import ending, guard, opening, options, refusals, workers
from siteproof.plugin.host_fixture import host_parameters, live_host
from siteproof.plugin.progress import Progress
from siteproof.previews import plan, register
from siteproof.probes.common import versions
from siteproof.results import ExitCode, Result, Verdict
from siteproof.text import crossing

SUITE = pytest.StashKey[Suite]()
PLANNED = pytest.StashKey[Planned]()
JUDGED = pytest.StashKey[Judgement]()
OURS = pytest.StashKey[bool]()
"""What is deselected now is so by our own options, which say it themselves."""
ACCESS = pytest.StashKey[plan.Access]()
"""What `--check-access` found."""

CHECKS = "tests_infra"
"""The folder of the checks and their helpers, in the root directory."""

# What stands in for the subjects of a check while there are none to be had.
UNPLANNED = Case("without-hosts", None, {})
UNDECLARED = Case("undeclared", None, {})


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    options.add(parser)
    pluginmanager.register(guard, "siteproof-guard")
    # Now: before anything imports a helper, be it a conftest.py beside the checks.
    if (config := pluginmanager.get_plugin("pytestconfig")) is not None:
        _have_asserts_told(config.rootpath / CHECKS)


def _have_asserts_told(checks: Path) -> None:
    """Have pytest rewrite the asserts of helpers too, so that they tell what was expected and seen."""
    if checks.is_dir():
        names = {path.stem for path in checks.iterdir() if path.suffix == ".py" or path.is_dir()}
        pytest.register_assert_rewrite(CHECKS, *sorted(name for name in names if name.isidentifier()))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: part of the gate before a maintenance window")
    config.addinivalue_line("markers", "siteproof_case(case): the subject of an invariant (set by the plugin)")
    try:
        if (given := workers.from_controller(config)) is not None:
            config.stash[SUITE] = workers.join(config, given)
            config.stash[guard.REDACTOR] = config.stash[SUITE].redactor
        elif config.getoption("hosts", None) is not None:
            if not options.judges(config):
                options.without_workers(config)
            ending.heed_signals(config)
            suite = config.stash[SUITE] = opening.open_suite(config)
            config.stash[guard.REDACTOR] = suite.redactor
            config.pluginmanager.register(ending.Ending(config, suite), "siteproof-ending")
            if config.pluginmanager.has_plugin("terminal"):
                config.option.tbstyle = "no" if config.option.tbstyle == "auto" else config.option.tbstyle
                config.option.reportchars = ""
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Controller: tell a worker which run it belongs to."""
    if (suite := node.config.stash.get(SUITE, None)) is not None:
        try:
            workers.refuse_optimized_worker(node.gateway)
        except BadInput as error:
            opening.never_mind(suite)
            raise pytest.UsageError(str(error)) from None
        workers.may_die(node)
        node.workerinput["siteproof"] = workers.for_worker(suite, node.gateway.id)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (of_a_run := config.pluginmanager.get_plugin("siteproof-ending")) is not None:
        of_a_run.close()
    elif (suite := config.stash.get(SUITE, None)) is not None and suite.gatherer is not None:
        suite.gatherer.close()


@pytest.hookimpl(trylast=True)
def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Somebody asked for a part: -k, -m, --deselect, --lf."""
    config = items[0].config if items else None
    if config is None or (suite := config.stash.get(SUITE, None)) is None or config.stash.get(OURS, False):
        return
    suite.plan.narrow()
    suite.ledger.remark(f"left out: deselected on the command line: {len(items)} result{'s' if len(items) > 1 else ''}")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    suite = metafunc.config.stash.get(SUITE, None)
    if (declared := invariants.of(metafunc.function)) is None:
        if "_siteproof_host" in metafunc.fixturenames:
            hosts: Sequence[str | None] = host_parameters(metafunc.module, suite.site.inventory) if suite else [None]
            names = guard.as_named(filter(None, hosts), suite.redactor) if suite else {}
            ids = [names[host] if host else UNPLANNED.id for host in hosts]
            metafunc.parametrize("_siteproof_host", hosts, ids=ids, scope="module", indirect=True)
        return
    hints = {n: t for n, t in typing.get_type_hints(metafunc.function).items() if n != "return"}
    try:
        cases = [UNPLANNED] if suite is None else suite.site.cases(declared.family, hints) or [UNDECLARED]
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    cases = cases if suite is None else guard.nameable(cases, suite.redactor)
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
    suite = request.config.stash[SUITE]
    return live_host(_siteproof_host, suite.gatherer, suite.store, suite.judge.listen)


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
    by_check: dict[str, list[pytest.Item]] = {}
    for item in items:
        item.stash[PLANNED] = _planned(item)  # which its start needs
        found = NOTHING if (start := _start(item)) is None else foreseen(start)
        planned = item.stash[PLANNED] = replace(item.stash[PLANNED], probe_class=found.probe_class)
        by_check.setdefault(planned.invariant.id, []).append(item)
        if planned.case is UNDECLARED:
            continue  # a shortfall, which the suite says for the whole family
        if (reason := suite.selection.unwanted(planned)) is None:
            asked.append(item)
            reason = suite.selection.elsewhere(planned, found.first)
        if reason is not None:
            left_out.setdefault(reason, []).append(item)
            continue
        judgeable = not suite.selection.cannot_judge(planned, found.first)
        suite.plan.add(planned, judgeable=judgeable)
        if judgeable:
            judged.append(item)
    workers.drives(config, "")
    starts = [(item.stash[PLANNED], start) for item in asked if (start := _start(item)) is not None]
    suite.plan.collected({id: _seen(some) for id, some in by_check.items()}, starts)
    config.stash[OURS] = True
    for reason, some in left_out.items():
        suite.ledger.remark(f"left out: {reason}: {', '.join(item.stash[PLANNED].name for item in some)}")
        config.hook.pytest_deselected(items=some)
    config.stash[OURS] = False
    items[:] = judged


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
    return undeclared(item.nodeid, name, f"{sentence[:1].upper()}{sentence[1:]}.", Case(subject, host, {}))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Ask everything, round by round, before the first check is judged."""
    config = session.config
    suite = config.stash.get(SUITE, None)
    if suite is None:
        return
    suite.plan.keep({item.nodeid for item in session.items})  # what others deselect after us was not planned
    if options.only_looks(config):
        return
    if suite.gatherer is None:
        suite.judge.doubt()  # a replay; nothing is known of anybody else
        return
    if _refused_by_pytest(session):
        return
    progress = Progress(config)
    gatherer = suite.gatherer
    if config.option.check_access:

        def only_access(number: int, questions: Collection[Question]) -> None:
            progress.round(number, questions, gatherer.ask)

        found = config.stash[ACCESS] = plan.check_access(suite, only_access)
        for line in found.lines:
            _say(config, line)
        return
    here = Here(suite.store, suite.site.inventory.selected)
    tools = versions.Asking()

    def ask(number: int, questions: Collection[Question]) -> None:
        workers.drives(config, "")
        progress.round(number, [*questions, *tools.beside(questions)], gatherer.ask)

    try:
        rounds.gather(suite.plan.starts, here, ask)
    except Exception as error:  # noqa: BLE001 - what was answered before is judged all the same
        suite.ledger.fail(ending.failed("siteproof failed while it asked", error))
    workers.drives(config, "")
    suite.judge.doubt()


def _refused_by_pytest(session: pytest.Session) -> bool:
    """Whether pytest will judge nothing, because some of the checks could not be read. Workers judge the rest."""
    config = session.config
    # Who does not judge looks at all of it, or would say what is not so.
    goes_on = config.option.continue_on_collection_errors and options.judges(config)
    return bool(session.testsfailed) and not (goes_on or workers.from_controller(config) is not None)


def _start(item: pytest.Item) -> Make | None:
    """What starts the check of an item; None for one that asks nothing that could be known before it runs."""
    function, case = getattr(item, "obj", None), item.stash[PLANNED].case
    suite = item.config.stash[SUITE]
    if case.absent is not None or not inspect.iscoroutinefunction(function) or item.nodeid in suite.ledger.deadly:
        return None

    def start() -> Check:
        workers.drives(item.config, item.nodeid)
        check: Check = function(**case.arguments)
        return check

    return start


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """`--plan`, `--sudoers`, `--register` and `--check-access` judge nothing."""
    config = session.config
    suite = config.stash.get(SUITE, None)
    if suite is None or options.judges(config):
        return None
    for said in suite.ledger.shortfalls:
        _say(config, f"SHORTFALL {said}")
    if _refused_by_pytest(session):
        raise session.Interrupted(f"{session.testsfailed} error(s) during collection")  # pytest's own may go on
    if suite.ledger.shortfalls and (config.option.register or config.option.sudoers):
        raise pytest.UsageError("nothing was written, since not all checks are known")
    if config.option.register:
        _register(config, suite)
    if config.option.plan:
        for line in plan.plan(suite):
            _say(config, line)
    if config.option.sudoers:
        try:
            fragment = plan.sudoers_fragment(suite)
            refusals.write_out(Path(config.option.sudoers), fragment, "--sudoers", mode=0o600)
        except BadInput as error:
            raise pytest.UsageError(str(error)) from None
        _say(config, f"what runs as root is in {config.option.sudoers}")
    return None if config.option.collectonly else True


def _register(config: pytest.Config, suite: Suite) -> None:
    path, proof = Path(config.option.register), config.option.proof
    try:
        proven = None if proof is None else refusals.read_proof(Path(proof))
        seen = suite.plan.seen
        faults = register.ask_lab(config.getini("siteproof_faults"), seen, config.rootpath)
        found = register.entries(seen, faults)
        refusals.write_out(path, register.written(path, found), "--register", mode=0o644)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    _say(config, f"{len(found)} checks are in {path}")
    if said := register.unproven(found, faults, proven):
        raise pytest.UsageError("\n".join(said))


def _seen(items: Sequence[pytest.Item]) -> invariants.SeenCheck:
    """One check, by all that was collected of it."""
    planned = [item.stash[PLANNED] for item in items]
    function = getattr(items[0], "obj", None)
    return invariants.SeenCheck(
        planned[0].invariant,
        items[0].nodeid.partition("[")[0],
        invariants.probes_of(function) if inspect.isfunction(function) else (),
        tuple((p.case.id, p.case.host) for p in planned if p.case is not UNDECLARED and p.case.absent is None),
        max((p.probe_class for p in planned), key=CLASSES.index),
    )


def _say(config: pytest.Config, line: str) -> None:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    workers.drives(item.config, item.nodeid)
    try:
        return (yield)
    finally:
        workers.drives(item.config, "")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    suite = pyfuncitem.config.stash.get(SUITE, None)
    if suite is None or invariants.of(pyfuncitem.obj) is None:
        return None
    if (why := suite.ledger.deadly.get(pyfuncitem.nodeid)) is not None:
        raise ProbeError(why)
    error, judgement = suite.judge.run(pyfuncitem.obj(**pyfuncitem.stash[PLANNED].case.arguments))
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
    suite = item.config.stash.get(SUITE, None)
    if suite is None or PLANNED not in item.stash:
        return (yield)
    try:
        found = yield
    except Exception as failure:  # noqa: BLE001 - of pytest or a plugin, about one result, and not about the others
        found = _without_a_report(item, call, failure)
    planned = item.stash[PLANNED]
    error = call.excinfo.value if call.excinfo else None
    if call.when == "setup" and found.skipped and planned.case.absent is not None:
        found.siteproof = not_applicable(planned)  # type: ignore[attr-defined]
    elif found.skipped and not planned.invariant.family and isinstance(error, pytest.skip.Exception):
        reason = Case(planned.case.id, planned.case.host, {}, str(error))
        found.siteproof = not_applicable(replace(planned, case=reason))  # type: ignore[attr-defined]
    elif call.when == "call" or error is not None:
        judgement = item.stash.get(JUDGED, None) or suite.judge.heard()
        suite.ledger.asked(judgement.trace.asked.values())
        _translate(found, suite.concluder.conclude(planned, error, judgement))
    if call.when == "teardown" and JUDGED in item.stash:
        del item.stash[JUDGED]
    found.sections = [(crossing.encodable(name), crossing.encodable(text)) for name, text in found.sections]
    return found


def _without_a_report(item: pytest.Item, call: pytest.CallInfo[Any], failure: Exception) -> pytest.TestReport:
    """A report of what pytest could not report."""
    said = ending.failed("pytest or a plugin of it failed over this result", failure)
    when = call.when if call.when != "collect" else "call"
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", crossing.encodable(said), when)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_report_to_serializable(
    config: pytest.Config, report: Any
) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """Worker: a result crosses to the controller as plain data. One that cannot is unknown, and no other is lost."""
    data = yield
    if data is None or SUITE not in config.stash:
        return data
    result = data.get("siteproof")
    try:
        carried: dict[str, Any] = crossing.plain(
            data | {"siteproof": result.to_json()} if isinstance(result, Result) else data
        )
        crossing.refuse_uncarried(carried)
    except Exception as error:  # noqa: BLE001 - whatever somebody put beside a result
        return _uncrossed(report, error)
    return carried


def _uncrossed(report: Any, error: Exception) -> dict[str, Any]:
    """The same report without what cannot cross."""
    said = ending.failed("what was found could not be handed from one process to another", error)
    if isinstance(report, pytest.CollectReport):
        collected = pytest.CollectReport(report.nodeid, report.outcome, said, [])
        return {**collected._to_json(), "$report_type": "CollectReport"}
    bare = pytest.TestReport(report.nodeid, report.location, {}, report.outcome, None, report.when)
    if isinstance(result := getattr(report, "siteproof", None), Result):
        why = result.message or said
        verdict = result.verdict if result.verdict is not Verdict.HELD else Verdict.UNKNOWN
        lost = replace(result, verdict=verdict, message=why, expected=None, seen=None, notes=(said,), evidence=())
        _translate(bare, lost.encodable())
        bare.siteproof = lost.encodable().to_json()  # type: ignore[attr-defined]
    elif report.outcome == "failed":
        bare.longrepr = crossing.encodable(said)
    data: dict[str, Any] = crossing.plain(bare._to_json())
    return data | {"$report_type": "TestReport"}


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: Any) -> None:
    """A warning crosses as its text; what cannot cross would end the worker."""
    said = warning_message.message
    if isinstance(said, Warning) and not str(said).isascii() and str(said) != crossing.encodable(str(said)):
        warning_message.message = UserWarning(crossing.encodable(str(said)))


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

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (found := getattr(report, "siteproof", None)) is not None:
            self.ledger.add(found if isinstance(found, Result) else Result.from_json(found))


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if (suite := session.config.stash.get(SUITE, None)) is not None:
        session.config.pluginmanager.register(_Results(suite.ledger), "siteproof-results")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Controller: what there is to judge, in case that no worker lives to tell more."""
    if (suite := node.config.stash.get(SUITE, None)) is not None:
        suite.plan.expect(ids)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Controller: a worker has ended; take over its plan and what it noticed, or what it died of."""
    suite = node.config.stash.get(SUITE, None)
    if suite is None:
        return
    if (told := getattr(node, "workeroutput", {}).get("siteproof")) is not None:
        workers.take_over(suite, told)
    elif error and (nodeid := workers.died_at(suite.directory, node.gateway.id)):
        suite.ledger.kills(nodeid, "the process that judged this died of it")


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: Any, sched: Any) -> None:
    """Controller: the check that a dead worker had before it. The other workers take over what came after it."""
    if (suite := sched.config.stash.get(SUITE, None)) is None:
        return
    report.when = "setup"
    begun = workers.died_at(suite.directory, report.node.gateway.id) == crashitem
    if crashitem in suite.ledger.results or (not begun and _judged_by_another(crashitem, sched)):
        report.outcome, report.longrepr = "passed", None
        return
    why = f"the process that was to judge this died ({report.longrepr})"
    suite.ledger.kills(crashitem, why)
    report.longrepr = f"unknown: {why}"


def _judged_by_another(nodeid: str, sched: Any) -> bool:
    try:
        sched.mark_test_pending(nodeid)
    except NotImplementedError:  # of some ways to share checks out
        return False
    return True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    suite = config.stash.get(SUITE, None)
    if suite is None:
        return
    if workers.from_controller(config) is not None:
        config.workeroutput["siteproof"] = workers.tell(suite)  # type: ignore[attr-defined]
        return
    if options.only_looks(config):
        if config.option.plan and suite.ledger.shortfalls and exitstatus == ExitCode.HELD:
            session.exitstatus = ExitCode.SHORTFALL
        return
    if config.option.check_access:
        if not ExitCode.INTERRUPTED <= exitstatus <= ExitCode.BAD_INPUT:
            session.exitstatus = plan.access_exit_code(config.stash.get(ACCESS, None), suite.ledger.shortfalls)
        return
    if session.shouldfail or (session.shouldstop and exitstatus == ExitCode.VIOLATED):
        suite.ledger.stop(ending.STOPPED)
    workers.forget(suite.directory)
    suite.plan.name_the_expected()
    for nodeid, why in suite.ledger.deadly.items():
        if nodeid in suite.plan.planned and nodeid not in suite.ledger.results:
            suite.ledger.add(unjudged(suite.plan.planned[nodeid], why))
    session.exitstatus = ending.finish(config, suite, int(exitstatus)).exit_code


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    ending.say(config, terminalreporter)
