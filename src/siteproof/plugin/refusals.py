"""What is refused before anything is made or asked: options that mean nothing, or nothing together."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siteproof.errors import BadInput
from siteproof.machine.reading import read_regular
from siteproof.plugin.options import LOOKS

_TEXTS = {
    "limit": "--limit",
    "reports": "--reports",
    "shard": "--shard",
    "vault_password_file": "--vault-password-file",  # an option  # nosec B105
    "sudoers": "--sudoers",
    "register": "--register",
    "proof": "--proof",
}
MOST_HOSTS_AT_ONCE = 4096
LONGEST_BUDGET_S = 86400


def refuse_options(given: Any) -> None:
    """Raises BadInput, one sentence. `given` are pytest's options."""
    refuse_optimized(sys.flags.optimize, "this Python")
    for name, option in _TEXTS.items():
        if (value := getattr(given, name)) is not None and not value.strip():
            raise BadInput(f"{option}: it is empty")
    looks = [option for name, option in LOOKS.items() if getattr(given, name, None)]
    if given.check_access and (beside := [*looks, *(["--replay"] if given.replay else [])]):
        raise BadInput(f"--check-access asks the hosts, {beside[0]} asks nobody: one of the two")
    if given.replay and looks and looks[0] != "--collect-only":
        raise BadInput(f"--replay judges what was answered, {looks[0]} judges nothing: one of the two")
    if given.proof and not given.register:
        raise BadInput("--proof: it is --register that reads it")
    number(given.fanout, "--fanout", at_most=MOST_HOSTS_AT_ONCE)
    number(given.budget, "--budget", at_most=LONGEST_BUDGET_S)
    for name in ("sudoers", "register"):
        if (file := getattr(given, name)) is not None:
            refuse_unwritable(Path(file), _TEXTS[name])
    if given.proof is not None:
        read_proof(Path(given.proof))


OURS = ("siteproof-guard", "siteproof-guard-of-reports", "siteproof-ending", "siteproof-results")
"""Parts of this plugin, which pytest's `-p no:…` could leave out."""


def refuse_without_parts(pluginmanager: Any) -> None:
    """A run without one of them would show secrets, or lose what was found. Raises BadInput."""
    for name in filter(pluginmanager.is_blocked, OURS):
        raise BadInput(f"-p no:{name}: siteproof runs whole or not at all (-p no:siteproof)")


def refuse_leaks(config: Any) -> None:
    """What writes past everything that redacts, for an inventory that has secrets. Raises BadInput."""
    given = config.option
    in_settings = config.getini("log_file") if config.pluginmanager.has_plugin("logging-plugin") else None
    leaks = {
        "--capture=tee-sys": getattr(given, "capture", None) == "tee-sys",
        "--log-file": getattr(given, "log_file", None) or in_settings,
        "--debug": getattr(given, "debug", None),
        "--pastebin": getattr(given, "pastebin", None),
    }
    leaks |= {name: os.environ.get(name) for name in ("PYTEST_DEBUG", "EXECNET_DEBUG")}
    for option in (option for option, asked in leaks.items() if asked):
        raise BadInput(f"{option}: the inventory has secrets, which it would show: run it without")


def refuse_optimized(level: int, who: str) -> None:
    """Python leaves out what is asserted when it is told to optimize, and every check would hold."""
    if level:
        raise BadInput(
            f"{who} runs optimized (python -O, PYTHONOPTIMIZE), without any assert, so that every check would hold: "
            "run it without"
        )


def number(written: str | int, option: str, *, at_most: int) -> int:
    """The whole number that an option has, at least 1. Raises BadInput."""
    if not str(written).isascii() or not str(written).isdigit() or not 1 <= int(written) <= at_most:
        raise BadInput(f"{option}={written}: not a whole number from 1 to {at_most}")
    return int(written)


def refuse_unwritable(file: Path, option: str) -> None:
    """What is written there replaces a file or makes one; anything else that has the name stays as it is."""
    try:
        kind = file.stat().st_mode
    except FileNotFoundError:
        kind = stat.S_IFREG
    except OSError as error:
        raise BadInput(f"{option} {file}: {error.strerror}") from None
    if not stat.S_ISREG(kind):
        raise BadInput(f"{option} {file}: not a file")
    folder = file.resolve().parent
    if not folder.is_dir():
        raise BadInput(f"{option} {file}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"{option} {file}: nothing may be written in {folder}")


def write_out(file: Path, text: str, option: str, *, mode: int) -> None:
    """Replace `file` in one step. Raises BadInput where it cannot be written."""
    refuse_unwritable(file, option)
    target = file.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as opened:
                opened.write(text)
                os.fchmod(descriptor, mode)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BadInput(f"{option} {file}: {error.strerror}") from None


def read_proof(file: Path) -> Mapping[str, Any]:
    """What `python -m lab prove --json` wrote. Raises BadInput."""
    try:
        found = json.loads(read_regular(file))
        if not all(isinstance(fault["id"], str) and isinstance(fault["ok"], bool) for fault in found["faults"]):
            raise TypeError("a fault without its id or whether it is ok")
    except OSError as error:
        raise BadInput(f"--proof {file}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        what = "not what `python -m lab prove --json` writes"
        raise BadInput(f"--proof {file}: {what} ({type(error).__name__})") from None
    checked: Mapping[str, Any] = found
    return checked
