"""The hooks: each hands what pytest says to the module of its phase."""

from __future__ import annotations

import typing
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from siteproof import invariants
from siteproof.judging.verdicts import COMPARED, Comparison
from siteproof.plugin import asking, collection, ending, guard, looking, options, place, runtest, serialization, workers
from siteproof.plugin.host_fixture import live_host
from siteproof.plugin.session import Results, begin_session, close_connections, end_session
from siteproof.plugin.stash import PLANNED, SUITE


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    options.add(parser)
    pluginmanager.register(guard, "siteproof-guard")
    # Now: before anything imports a helper, be it a conftest.py beside the checks.
    if (config := pluginmanager.get_plugin("pytestconfig")) is not None:
        collection.have_asserts_told(config.rootpath)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: part of the gate before a maintenance window")
    config.addinivalue_line("markers", "siteproof_case(case): the subject of an invariant (set by the plugin)")
    begin_session(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    close_connections(config)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if (suite := session.config.stash.get(SUITE, None)) is not None:
        session.config.pluginmanager.register(Results(suite.ledger), "siteproof-results")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if (suite := session.config.stash.get(SUITE, None)) is not None:
        end_session(session, suite, exitstatus)


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    ending.say(config, terminalreporter)


# Collection, and everything is asked


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    collection.parametrize(metafunc, metafunc.config.stash.get(SUITE, None))


@pytest.hookimpl(trylast=True)
def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    collection.narrow(items)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (suite := config.stash.get(SUITE, None)) is not None:
        collection.plan(config, suite, items)
    elif not config.option.collectonly and not hasattr(config, "workerinput"):
        collection.refuse_without_hosts(item.nodeid for item in items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Ask everything, round by round, before the first check is judged."""
    if (suite := session.config.stash.get(SUITE, None)) is not None:
        asking.ask(session, suite)


# Running the checks, one by one


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """`--plan`, `--sudoers`, `--register` and `--check-access` judge nothing."""
    suite = session.config.stash.get(SUITE, None)
    if suite is None or options.judges(session.config):
        return None
    looking.look(session, suite)
    return None if session.config.option.collectonly else True


@pytest.fixture(scope="module")
def _siteproof_host(request: pytest.FixtureRequest) -> str:
    return typing.cast(str, request.param)


@pytest.fixture(scope="module")
def host(_siteproof_host: str, request: pytest.FixtureRequest) -> Any:
    """testinfra's Host on the run's own connection: same deadlines, strict host keys, ProbeError for no answer."""
    suite = request.config.stash[SUITE]
    return live_host(_siteproof_host, suite.gatherer, suite.store, suite.judge.listen)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    place.drives(item.config, item.nodeid)
    try:
        return (yield)
    finally:
        place.drives(item.config, "")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    suite = pyfuncitem.config.stash.get(SUITE, None)
    if suite is None or invariants.of(pyfuncitem.obj) is None:
        return None
    runtest.judge(pyfuncitem, suite)
    return True


def pytest_assertrepr_compare(op: str, left: object, right: object) -> None:
    if (compared := COMPARED.get()) is not None:
        compared.append(Comparison(op, left, right))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    suite = item.config.stash.get(SUITE, None)
    if suite is None or PLANNED not in item.stash:
        return (yield)
    try:
        found = yield
    except Exception as failure:  # noqa: BLE001 - of pytest or a plugin, about one result, and not about the others
        found = runtest.without_a_report(item, call, failure)
    runtest.conclude(found, item, call, suite)
    return found


# xdist


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    if (suite := node.config.stash.get(SUITE, None)) is not None:
        workers.admit(node, suite)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_report_to_serializable(
    config: pytest.Config, report: Any
) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """Worker: a result crosses to the controller as plain data."""
    data = yield
    return data if data is None or SUITE not in config.stash else serialization.carried(report, data)


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: Any) -> None:
    serialization.as_text(warning_message)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    if (suite := node.config.stash.get(SUITE, None)) is not None:
        suite.plan.expect(ids)
    else:
        collection.refuse_without_hosts(ids)  # a worker cannot end the run with a sentence


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    if (suite := node.config.stash.get(SUITE, None)) is not None:
        workers.ended(node, error, suite)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: Any, sched: Any) -> None:
    if (suite := sched.config.stash.get(SUITE, None)) is not None:
        workers.crashed(crashitem, report, sched, suite)
