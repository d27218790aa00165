"""Collection: subjects for each check, and which of them are part of the run."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from siteproof import invariants
from siteproof.asks import CLASSES, Check
from siteproof.errors import BadInput
from siteproof.facts import Case
from siteproof.judging.plan import Make, Planned, Start, undeclared
from siteproof.judging.stand_ins import NOTHING, foreseen
from siteproof.judging.suite import Suite
from siteproof.plugin import guard, place
from siteproof.plugin.host_fixture import host_parameters
from siteproof.plugin.options import CHECKS
from siteproof.plugin.stash import PLANNED, SUITE

OURS = pytest.StashKey[bool]()
"""What is deselected now is so by our own options, which say it themselves."""

# What stands in for the subjects of a check while there are none to be had.
UNPLANNED = Case("without-hosts", None, {})
_WITHOUT_HOSTS = re.compile(rf"[\[-]{UNPLANNED.id}[\]-]")
UNDECLARED = Case("undeclared", None, {})


def have_asserts_told(root: Path) -> None:
    """Have pytest rewrite the asserts of helpers too, so that they tell what was expected and seen."""
    if (checks := root / CHECKS).is_dir():
        names = {path.stem for path in checks.iterdir() if path.suffix == ".py" or path.is_dir()}
        pytest.register_assert_rewrite(CHECKS, *sorted(name for name in names if name.isidentifier()))


def parametrize(metafunc: pytest.Metafunc, suite: Suite | None) -> None:
    """Give a check its subjects, and a plain one that asks hosts its hosts."""
    if (declared := invariants.of(metafunc.function)) is not None:
        _with_subjects(metafunc, declared, suite)
    elif "_siteproof_host" in metafunc.fixturenames:
        hosts: Sequence[str | None] = host_parameters(metafunc.module, suite.site.inventory) if suite else [None]
        names = guard.as_named(filter(None, hosts), suite.redactor) if suite else {}
        ids = [names[host] if host else UNPLANNED.id for host in hosts]
        metafunc.parametrize("_siteproof_host", hosts, ids=ids, scope="module", indirect=True)


def _with_subjects(metafunc: pytest.Metafunc, declared: invariants.Invariant, suite: Suite | None) -> None:
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


def narrow(items: Sequence[pytest.Item]) -> None:
    """Somebody asked for a part: -k, -m, --deselect, --lf."""
    config = items[0].config if items else None
    if config is None or (suite := config.stash.get(SUITE, None)) is None or config.stash.get(OURS, False):
        return
    suite.plan.narrow()
    suite.ledger.remark(f"left out: deselected on the command line: {len(items)} result{'s' if len(items) > 1 else ''}")


def refuse_without_hosts(nodeids: Iterable[str]) -> None:
    """Raises UsageError if one of these is a check that has no subject, because no inventory says which."""
    if asking := next(filter(_WITHOUT_HOSTS.search, nodeids), None):
        raise pytest.UsageError(
            f"{asking.partition('[')[0]} asks hosts, and no --hosts says which: "
            "pytest --hosts=inventory, or --hosts=<a folder under inventories/>"
        )


def plan(config: pytest.Config, suite: Suite, items: list[pytest.Item]) -> None:
    """Plan what the options leave of the items, and keep in the list what is judged here."""
    left_out: dict[str, list[pytest.Item]] = {}
    starts: list[Start] = []
    judged: list[pytest.Item] = []
    by_check: dict[str, list[pytest.Item]] = {}
    for item in items:
        item.stash[PLANNED] = _planned(item)  # which its start needs
        start = _start(item)
        found = NOTHING if start is None else foreseen(start)
        planned = item.stash[PLANNED] = replace(item.stash[PLANNED], probe_class=found.probe_class)
        by_check.setdefault(planned.invariant.id, []).append(item)
        if planned.case is UNDECLARED:
            continue  # a shortfall, which the suite says for the whole family
        if (reason := suite.selection.unwanted(planned)) is None:
            starts += [] if start is None else [(planned, start)]
            reason = suite.selection.elsewhere(planned, found.first)
        if reason is not None:
            left_out.setdefault(reason, []).append(item)
            continue
        judgeable = not suite.selection.cannot_judge(planned, found.first)
        suite.plan.add(planned, judgeable=judgeable)
        judged += [item] if judgeable else []
    place.drives(config, "")
    suite.plan.collected({id: _seen(some) for id, some in by_check.items()}, starts)
    _leave_out(config, suite, left_out)
    items[:] = judged


def _leave_out(config: pytest.Config, suite: Suite, by_reason: dict[str, list[pytest.Item]]) -> None:
    config.stash[OURS] = True
    for reason, items in by_reason.items():
        suite.ledger.remark(f"left out: {reason}: {', '.join(item.stash[PLANNED].name for item in items)}")
        config.hook.pytest_deselected(items=items)
    config.stash[OURS] = False


def _planned(item: pytest.Item) -> Planned:
    declared = invariants.of(getattr(item, "obj", None))
    if declared is not None and (mark := item.get_closest_marker("siteproof_case")) is not None:
        return Planned(declared, mark.args[0], item.nodeid)
    name = getattr(item, "originalname", None) or item.name
    callspec = getattr(item, "callspec", None)
    subject = callspec.id if callspec else item.path.stem
    host = callspec.params.get("_siteproof_host") if callspec else None
    return undeclared(item.nodeid, name, invariants.sentence_of(name), Case(subject, host, {}))


def _start(item: pytest.Item) -> Make | None:
    """What starts the check of an item; None for one that asks nothing that could be known before it runs."""
    function, case = getattr(item, "obj", None), item.stash[PLANNED].case
    suite = item.config.stash[SUITE]
    if case is UNDECLARED or case.absent is not None or item.nodeid in suite.ledger.deadly:
        return None
    if not inspect.iscoroutinefunction(function):
        return None

    def start() -> Check:
        place.drives(item.config, item.nodeid)
        check: Check = function(**case.arguments)
        return check

    return start


def _seen(items: Sequence[pytest.Item]) -> invariants.SeenCheck:
    """One check, by all that was collected of it."""
    planned = [item.stash[PLANNED] for item in items]
    function = getattr(items[0], "obj", None)
    return invariants.SeenCheck(
        planned[0].invariant,
        items[0].nodeid.partition("[")[0],
        invariants.probes_of(function) if inspect.isfunction(function) else (),
        tuple(
            (p.case.id, p.case.host, p.case.among)
            for p in planned
            if p.case is not UNDECLARED and p.case.absent is None
        ),
        max((p.probe_class for p in planned), key=CLASSES.index),
    )
