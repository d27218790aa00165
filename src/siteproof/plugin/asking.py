"""Between collection and the first check: everything is asked, round by round."""

from __future__ import annotations

from collections.abc import Collection

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
    progress = Progress(config)

    def ask(number: int, questions: Collection[Question]) -> None:
        progress.round(number, questions, gatherer.ask)

    found = config.stash[ACCESS] = plan.check_access(suite, ask)
    for line in found.lines:
        say(config, line)


def _ask_all(config: pytest.Config, suite: Suite, gatherer: Gatherer) -> None:
    progress, tools = Progress(config), versions.Asking()

    def ask(number: int, questions: Collection[Question]) -> None:
        place.drives(config, "")
        progress.round(number, [*questions, *tools.beside(questions)], gatherer.ask)

    try:
        rounds.gather(suite.plan.starts, Here(suite.store, suite.site.inventory.selected), ask)
    except Exception as error:  # noqa: BLE001 - what was answered before is judged all the same
        suite.ledger.fail(failed("siteproof failed while it asked", error))
    place.drives(config, "")
    suite.judge.doubt()
