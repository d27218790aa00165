"""`--plan`, `--sudoers`, `--register`: what is shown or written where nothing is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from siteproof.errors import BadInput
from siteproof.judging.suite import Suite
from siteproof.plugin import refusals
from siteproof.plugin.asking import refused_by_pytest
from siteproof.plugin.progress import say
from siteproof.previews import plan, register


def look(session: pytest.Session, suite: Suite) -> None:
    """Show and write what was asked for, instead of judging."""
    config = session.config
    for said in suite.ledger.shortfalls:
        say(config, f"SHORTFALL {said}")
    if refused_by_pytest(session):
        raise session.Interrupted(f"{session.testsfailed} error(s) during collection")  # pytest's own may go on
    if suite.ledger.shortfalls and (config.option.register or config.option.sudoers):
        raise pytest.UsageError("nothing was written, since not all checks are known")
    if config.option.register:
        _register(config, suite)
    if config.option.plan:
        for line in plan.plan(suite):
            say(config, line)
    if config.option.sudoers:
        _sudoers(config, suite)


def _sudoers(config: pytest.Config, suite: Suite) -> None:
    try:
        fragment = plan.sudoers_fragment(suite)
        refusals.write_out(Path(config.option.sudoers), fragment, "--sudoers", mode=0o600)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    say(config, f"what runs as root is in {config.option.sudoers}")


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
    say(config, f"{len(found)} checks are in {path}")
    if said := register.unproven(found, faults, proven):
        raise pytest.UsageError("\n".join(said))
