"""Between collection and the first check: everything is asked, round by round."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from siteproof.asks import Question
from siteproof.gather import Gatherer
from siteproof.judging import rounds
from siteproof.judging.selection import Here
from siteproof.judging.suite import Suite
from siteproof.plugin import options, place, workers
from siteproof.plugin.ending import failed
from siteproof.plugin.progress import Progress, say
from siteproof.previews import plan
from siteproof.probes.common import versions

ACCESS = pytest.StashKey[plan.Access]()
"""What `--check-access` found."""


def ask(session: pytest.Session, suite: Suite) -> None:
    """Ask what the collected checks want to know, as far as the options ask at all."""
    config = session.config
    suite.plan.keep({item.nodeid for item in session.items})  # what others deselect after us was not planned
    if options.only_looks(config):
        return
    if suite.gatherer is None:
        suite.judge.doubt()  # a replay; nothing is known of anybody else
    elif refused_by_pytest(session):
        return
    elif config.option.check_access:
        _check_access(config, suite, suite.gatherer)
    else:
        _ask_all(config, suite, suite.gatherer)


def refused_by_pytest(session: pytest.Session) -> bool:
    """Whether pytest will judge nothing, because some of the checks could not be read. Workers judge the rest."""
    config = session.config
    # Who does not judge looks at all of it, or would say what is not so.
    goes_on = config.option.continue_on_collection_errors and options.judges(config)
    return bool(session.testsfailed) and not (goes_on or workers.from_controller(config) is not None)


def _check_access(config: pytest.Config, suite: Suite, gatherer: Gatherer) -> None:
    with Progress(config) as progress:

        def ask(number: int, questions: Collection[Question]) -> None:
            progress.round(number, questions, gatherer.ask)

        found = config.stash[ACCESS] = plan.check_access(suite, ask)
    for line in found.lines:
        say(config, line)


def _ask_all(config: pytest.Config, suite: Suite, gatherer: Gatherer) -> None:
    tools = versions.Asking()
    evidence = Here(suite.store, suite.site.inventory.selected)
    threads = ThreadPoolExecutor(max_workers=rounds.MAX_ROUNDS, thread_name_prefix="aside")
    asked_aside: list[Question] = []
    with Progress(config) as progress:

        def ask(number: int, questions: Collection[Question]) -> None:
            place.drives(config, "")
            progress.round(number, [*questions, *tools.beside([*questions, *asked_aside])], gatherer.ask)

        def aside(questions: Collection[Question]) -> Future[None]:
            place.drives(config, "")
            asked_aside.extend(questions)
            return threads.submit(slowly, questions)

        def slowly(questions: Collection[Question]) -> None:
            with gatherer.beside() as own:
                progress.aside(questions, own.ask)

        try:
            number = len(rounds.gather(suite.plan.starts, evidence, ask, aside))
            if untold := tools.beside(asked_aside):
                ask(number + 1, untold)
        except Exception as error:  # noqa: BLE001 - what was answered before is judged all the same
            suite.ledger.fail(failed("siteproof failed while it asked", error))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
    place.drives(config, "")
    suite.judge.doubt()
