"""From what happened to a check to its verdict.

*Violated* is one thing only: an AssertionError whose innermost frame is in a check or its helpers. Whatever else comes
out of a check (a ProbeError, an assertion inside a library, a KeyError, a timeout) says that we do not know.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence, Set
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from siteproof.errors import HostError, ProbeError
from siteproof.results import Verdict


@dataclass(frozen=True)
class Comparison:
    """The two sides of the comparison that failed: `assert seen == expected`."""

    operator: str
    seen: Any
    expected: Any


COMPARED: ContextVar[list[Comparison] | None] = ContextVar("siteproof_compared", default=None)
"""Where pytest's rewritten asserts leave what they compared, while a check is judged."""


@dataclass(frozen=True)
class Outcome:
    """A verdict and its reason, before waivers."""

    verdict: Verdict
    message: str = ""
    blocked_by: str | None = None
    expected: str | None = None
    seen: str | None = None
    expectation: Any = None
    """What differs of the expected value, to look up where it was declared."""


def outcome(error: BaseException | None, compared: Sequence[Comparison], checks: Path) -> Outcome:
    """The verdict of a check that ended with `error`. `checks` is the directory where checks and their helpers live."""
    if error is None:
        return Outcome(Verdict.HELD)
    if isinstance(error, ProbeError):
        said = _with_host(error)
        return Outcome(Verdict.UNKNOWN, said, blocked_by=said if isinstance(error, HostError) else None)
    if violates(error, checks):
        return _violated(error, compared[-1] if compared else None)
    where = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(where[-1].filename).name}:{where[-1].lineno}" if where else ""
    said = "".join(traceback.format_exception_only(error)).strip()
    return Outcome(
        Verdict.UNKNOWN, f"the check or a probe of it is broken, which says nothing of the site: {said}{place}"
    )


def _with_host(error: ProbeError) -> str:
    """Its sentence, which names the host: a message is read alone, in a mail or in a forge's list of failures."""
    said = str(error)
    if not error.host or re.search(rf"(?<![\w.-]){re.escape(error.host)}(?![\w-])", said):
        return said
    return f"{error.host}: {said}"


def violates(error: BaseException | None, checks: Path) -> bool:
    """Whether it is an AssertionError whose innermost frame is below `checks`, by whatever links it was come to."""
    if not isinstance(error, AssertionError) or error.__traceback__ is None:
        return False
    innermost = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return innermost.is_relative_to(checks) or innermost.resolve().is_relative_to(checks.resolve())


def _violated(error: BaseException, comparison: Comparison | None) -> Outcome:
    if comparison is None:
        return Outcome(Verdict.VIOLATED, _said_by(error))
    seen, expected = differing(comparison.seen, comparison.expected)
    prefix = "" if comparison.operator in ("==", "in", "is") else f"{comparison.operator} "
    return Outcome(
        Verdict.VIOLATED,
        message=f"seen {shown(seen, brief=True)}, expected {prefix}{shown(expected, brief=True)}",
        expected=f"{prefix}{shown(expected)}",
        seen=shown(seen),
        expectation=expected,
    )


def _said_by(error: BaseException) -> str:
    """The first line of its message; of a bare assert that pytest did not rewrite, the line where it stands."""
    said = str(error).strip().splitlines()
    if said and not re.fullmatch(r"assert (?:not )?(?:True|False|None|0|''|\[\]|\{\})", said[0]):
        return said[0]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{where.line or 'the assertion failed'} ({Path(where.filename).name}:{where.lineno})"


def differing(seen: Any, expected: Any) -> tuple[Any, Any]:
    """Of two mappings only what differs, so that the outlier stands by name and alone."""
    if not (isinstance(seen, Mapping) and isinstance(expected, Mapping)):
        return seen, expected
    keys = [k for k in {**expected, **seen} if seen.get(k, seen) != expected.get(k, expected)]
    return {k: seen[k] for k in keys if k in seen}, {k: expected[k] for k in keys if k in expected}


def shown(value: Any, *, brief: bool = False) -> str:
    """A value as an operator writes it: addresses bare, sets sorted, mappings one line a key."""
    if isinstance(value, Mapping):
        if not value:
            return "nothing"
        lines = [f"{shown(k)}: {shown(v, brief=True)}" for k, v in value.items()]
        return ", ".join(lines) if brief else "\n".join(lines)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return value or "(empty)"
    if isinstance(value, Set | list | tuple):
        items = [shown(v, brief=True) for v in value]
        return ", ".join(sorted(items) if isinstance(value, Set) else items) or "nothing"
    return str(value)
