"""What makes a coroutine an invariant of the site."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Literal, TypeVar

from siteproof.asks import ProbeClass

Severity = Literal["low", "medium", "high", "critical"]
F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")

ATTRIBUTE = "__siteproof_invariant__"


@dataclass(frozen=True)
class Invariant:
    """The entry of a check in the register."""

    id: str
    sentence: str
    family: str
    severity: Severity
    incident: str
    remedy: str
    gate: bool
    also: tuple[str, ...]
    """Ids of the catalogue that this check covers too."""
    follows: tuple[str, ...]
    """Ids whose violation brings this one along: printed under that root, not beside it. On the same host, or
    anywhere if the root is not checked on this host at all."""
    unproven_because: str = ""
    """Why the lab cannot show it violated; empty where it can."""
    witness: str = ""
    """What vouches for its answers that is none of the tools which gave them: another tool, another place, or something
    of this very run."""
    unwitnessed_because: str = ""
    """Why there is no such thing: yesterday's answer, given again, would be believed."""


@dataclass(frozen=True)
class SeenCheck:
    """A check as it stands in its file."""

    invariant: Invariant
    function: str
    """As pytest names it."""
    asks: tuple[str, ...]
    """The probes that it names."""
    subjects: tuple[tuple[str, str | None, tuple[str, ...]], ...] = ()
    """What it is to be looked at on this site: each subject, with the host that it is looked at from, if it is one, and
    the hosts that it is of, if it is of no others."""
    probe_class: ProbeClass = "reads"
    """The heaviest of what its subjects on this site can be foreseen to ask."""


@dataclass(frozen=True)
class Defaults:
    """The decorator of a file's checks, with what most of them have in common; a check's own word goes before it.

        invariant = Defaults(family="dns", severity="high", incident="image pulls rode the public hairpin")

        @invariant("dns-nsswitch", severity="medium")
        async def test_names_are_looked_up_in_the_declared_order(node: Client) -> None:
            \"""nsswitch.conf asks the declared sources for a name, in their order.

            Write the declared `hosts:` line into /etc/nsswitch.conf.
            \"""

    What is neither here nor at a check, a family, a severity, an incident or a remedy, is a TypeError at import.
    """

    family: str | None = None
    severity: Severity | None = None
    incident: str | None = None
    remedy: str | None = None
    gate: bool = False

    def __call__(
        self,
        id: str,
        *,
        family: str | None = None,
        severity: Severity | None = None,
        incident: str | None = None,
        remedy: str | None = None,
        gate: bool | None = None,
        also: tuple[str, ...] = (),
        follows: tuple[str, ...] = (),
        unproven_because: str = "",
        witness: str = "",
        unwitnessed_because: str = "",
    ) -> Callable[[F], F]:
        """Declare a coroutine as the check of one invariant.

        `family` names the facts (`siteproof_<family>`) whose subjects it is parametrized over, by the types of its
        parameters. The first line of its docstring is the sentence; without one the function's name is. The
        paragraphs behind it are the remedy, unless one is given here.
        """

        def declare(check: F) -> F:
            said, _, after = inspect.cleandoc(check.__doc__ or "").partition("\n\n")
            told = " ".join(after.split()) or None
            entry = Invariant(
                id=id,
                sentence=said.partition("\n")[0] or sentence_of(check.__name__),
                family=_one_of(id, "family", family, self.family),
                severity=_one_of(id, "severity", severity, self.severity),
                incident=_one_of(id, "incident", incident, self.incident),
                remedy=_one_of(id, "remedy", told if remedy is None else remedy, self.remedy),
                gate=self.gate if gate is None else gate,
                also=also,
                follows=follows,
                unproven_because=unproven_because,
                witness=witness,
                unwitnessed_because=unwitnessed_because,
            )
            if witness and unwitnessed_because:
                raise TypeError(f"{id}: it has a witness, and says why it has none")
            setattr(check, ATTRIBUTE, entry)
            return check

        return declare


def sentence_of(function: str) -> str:
    """What the name of a test says, for want of better words: `Node has an address.`"""
    name = function.removeprefix("test_").replace("_", " ")
    return f"{name[:1].upper()}{name[1:]}."


def _one_of(id: str, what: str, own: V | None, default: V | None) -> V:
    if (found := default if own is None else own) is None:
        raise TypeError(f"{id}: it has no {what}, neither of its own nor by the Defaults of its file")
    return found


invariant = Defaults()
"""The decorator of a file whose checks have nothing in common."""


def probes_of(check: Callable[..., Any]) -> tuple[str, ...]:
    """The probes that the code of a check names, in its order; those of helpers in its module and in `analysis` too."""
    found: dict[str, None] = {}
    seen: set[Any] = set()
    todo: list[tuple[CodeType, dict[str, Any]]] = [(check.__code__, check.__globals__)]
    while todo:
        code, names = todo.pop(0)
        seen.add(code)
        todo += [(c, names) for c in code.co_consts if isinstance(c, CodeType) and c not in seen]
        for name in code.co_names:
            used: Any = names.get(name)
            module = getattr(used, "__module__", "") or ""
            helps = module == check.__module__ or module.startswith("siteproof.analysis")
            if module.startswith("siteproof.probes") and (names is check.__globals__ or isinstance(used, FunctionType)):
                found[used.__name__] = None
            elif helps and isinstance(used, FunctionType) and used.__code__ not in seen:
                todo.append((used.__code__, used.__globals__))
    return tuple(found)


def of(check: object) -> Invariant | None:
    """The register entry of a test function, None for a plain test."""
    return getattr(check, ATTRIBUTE, None)
