"""What can be said on the command line and in pytest's own configuration."""

from __future__ import annotations

from typing import Any

import pytest

CHECKS = "tests_infra"
"""The folder of the checks and their helpers, in the root directory."""


def add(parser: pytest.Parser) -> None:
    """`--hosts` itself is testinfra's; what it means here is in `inventory.resolve_source`."""
    group = parser.getgroup("siteproof")
    group.addoption(
        "--limit", metavar="PATTERN", help="only hosts of this Ansible pattern; checks that need others are deselected"
    )
    group.addoption(
        "--reports", metavar="DIR", default=None, help="where runs are kept (default: reports/ in the root directory)"
    )
    group.addoption(
        "--shard",
        metavar="I/N",
        help="only every N-th of the hosts; --replay of all N bundles judges what no shard could",
    )
    group.addoption(
        "--replay",
        metavar="DIR",
        nargs="+",
        action="extend",
        help="judge what earlier runs were answered (their directories), with today's checks and facts; asks nobody",
    )
    group.addoption(
        "--plan", action="store_true", help="print every question that can be known and stop; nothing is connected to"
    )
    group.addoption(
        "--sudoers",
        metavar="FILE",
        help="write what of the plan runs as root, as a sudoers fragment, and stop; nothing is connected to",
    )
    group.addoption(
        "--register",
        metavar="FILE",
        help="write the register of all checks (JSON, or Markdown by its suffix) and stop; nothing is connected to",
    )
    group.addoption(
        "--proof",
        metavar="FILE",
        help="with --register: what `python -m lab prove --json` wrote; a check that it does not prove is an error",
    )
    group.addoption("--check-access", action="store_true", help="print for each host whether it can be asked, and stop")
    group.addoption(
        "--gate", action="store_true", help="only the checks of the gate; fail closed: a waived violation counts"
    )
    group.addoption("--read-only", action="store_true", help="leave out checks that borrow anything on a host")
    group.addoption("--changes", action="store_true", help="also the checks that change something on a host")
    group.addoption("--fanout", default="64", metavar="N", help="at most N hosts at once (default: 64)")
    group.addoption(
        "--budget",
        default="120",
        metavar="SECONDS",
        help="how long a run may ask; what is missing then is unknown (default: 120)",
    )
    group.addoption("--vault-password-file", metavar="FILE", help="as for ansible")
    parser.addini(
        "siteproof_faults",
        "the command that --register gives the checks to, and that says which faults prove them",
        type="args",
        default=[],
    )
    parser.addini(
        "siteproof_inventory", "what the word `inventory` means in --hosts=inventory", default="inventories/lab"
    )


LOOKS = {
    "plan": "--plan",
    "sudoers": "--sudoers",
    "register": "--register",
    "collectonly": "--collect-only",
    "cacheshow": "--cache-show",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "markers": "--markers",
    "help": "--help",
}
"""With any of them nothing is asked and nothing judged. Some are of parts of pytest that may be missing."""


def only_looks(config: pytest.Config) -> bool:
    return any(getattr(config.option, name, None) for name in LOOKS)


def judges(config: pytest.Config) -> bool:
    """Whether there are to be verdicts: not where somebody only looks, or asks for access alone."""
    return not (only_looks(config) or config.option.check_access)


def without_workers(config: pytest.Config) -> None:
    """Whoever only looks does so in this process, also where -n is said: there is nothing to share out."""
    given: Any = config.option
    if hasattr(given, "tx"):
        given.tx, given.dist, given.numprocesses = [], "no", 0
