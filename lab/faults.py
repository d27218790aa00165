"""The faults as a pure model: read from faults/*.toml, validated, every refusal one sentence that names its key.

They are written for roles and in the words of a site, so that each breaks every site; one that a site cannot have says
why (`not_on`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from lab import steps
from lab.errors import UsageError, nearest
from lab.following import Edge, Plan
from lab.steps import FaultError, Named, Steps, Table
from lab.topology import FIRST, HERE, Topology, sites
from lab.topology_host import TopologyError

VERDICTS = ("violated", "unknown", "held")
KEYS = ["does", "incident", "break", "broken", "heal", "healed", "roots", "except", "only", "evidence"]
KEYS += ["not_on", "roots_on"]
HELD = "held"
VIOLATED = "violated"

Patterns = Mapping[str, str]


@dataclass(frozen=True)
class Expected:
    """What a fault makes of the results of a site; everything else stays held."""

    verdicts: dict[str, str]
    """By `id[subject]`."""
    edges: frozenset[Edge]
    """The edges that it exercises: a result of either check is violated, where the one brings the other along."""
    idle: tuple[str, ...]
    """Sentences: what the fault names without effect. It would be noticed by nobody, or hides that nobody does."""


@dataclass(frozen=True)
class Fault:
    id: str
    subject: str
    """What it breaks, which is the name of its file."""
    does: str
    incident: str
    steps: Steps
    roots: Patterns
    """What is not held for the fault's own sake, and what follows from nothing that is: pattern -> verdict."""
    exceptions: Patterns
    """What does not come along although it follows from a root: pattern -> the verdict that it has instead."""
    only: tuple[str, ...]
    """Of what follows, only these come along; empty where all do."""
    evidence: Patterns

    def expected(self, plan: Plan, site: Patterns | None = None, *, strict: bool = True) -> Expected:
        """What is not held while the fault stands: its roots, and what follows from those of them that are violated.

        `site` are the patterns of what, on this site, comes along with no fault but one that names it. `strict` is for
        the site that the faults are written on: elsewhere less may follow, and one root is enough.
        """
        named = {
            key: verdict for key in plan.results for pattern, verdict in self.roots.items() if matches(key, pattern)
        }
        verdicts, passed, at_work = dict(named), set(named), set[str]()
        bringing = [key for key, verdict in named.items() if verdict == VIOLATED]
        while bringing:
            for key in plan.brought_along(bringing.pop()):
                if key in passed:
                    continue
                passed.add(key)
                verdict = self._of_what_follows(key, site or {}, at_work)
                if verdict != HELD:
                    verdicts[key] = verdict
                if verdict == VIOLATED:
                    bringing.append(key)
        violated = [key for key, verdict in verdicts.items() if verdict == VIOLATED]
        return Expected(
            verdicts, frozenset(plan.exercised(violated)), tuple(self._idle(plan, verdicts, at_work, strict))
        )

    def _of_what_follows(self, key: str, site: Patterns, at_work: set[str]) -> str:
        """The verdict of what an edge brings along. The patterns that say so are added to `at_work`."""
        for pattern, verdict in self.exceptions.items():
            if matches(key, pattern):
                at_work.add(pattern)
                return verdict
        named = [pattern for pattern in self.only if matches(key, pattern)]
        at_work.update(named)
        if self.only and not named:
            return HELD
        return HELD if any(matches(key, pattern) for pattern in site) else VIOLATED

    def _idle(self, plan: Plan, verdicts: Mapping[str, str], at_work: set[str], strict: bool) -> list[str]:
        def names_any(pattern: str, keys: Iterable[str]) -> bool:
            return any(matches(key, pattern) for key in keys)

        said = [f"roots: {p} names no result" for p in self.roots if not names_any(p, plan.results)]
        if not strict:
            return said if len(said) == len(self.roots) else []
        said += [f"except: {p} names nothing that follows" for p in self.exceptions if p not in at_work]
        said += [f"only: {p} names nothing that follows" for p in self.only if p not in at_work]
        return said + [f"evidence: {p} names nothing expected" for p in self.evidence if not names_any(p, verdicts)]

    def must_match(self, result: str) -> list[str]:
        """The patterns that the evidence of a result must match."""
        return [pattern for results, pattern in self.evidence.items() if matches(result, results)]

    @property
    def needs_tools(self) -> bool:
        return any(step.shim for step in self.steps.breaks)


def matches(result: str, pattern: str) -> bool:
    """fnmatch with `*` and `?` only: the brackets around the subject stand for themselves."""
    return fnmatchcase(result, pattern.replace("[", "[[]"))


@dataclass(frozen=True)
class Written:
    """The files that say what the lab can break, as text."""

    faults: Mapping[str, str]
    """Subject -> its file."""
    steps: str
    exceptions: str
    site_steps: str = ""
    """The site's own, which come before the shared ones of the same name."""

    @staticmethod
    def of(directory: Path = HERE, site: str = FIRST) -> Written:
        return Written(
            {path.stem: path.read_text() for path in sorted((directory / "faults").glob("*.toml"))},
            (directory / "steps.toml").read_text(),
            (directory / "exceptions.toml").read_text(),
            (directory / "sites" / site / "steps.toml").read_text(),
        )


@dataclass(frozen=True)
class Faults:
    """Every fault, and what on this site comes along with none that does not name it."""

    by_id: dict[str, Fault]
    site: Patterns
    """Pattern -> why."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Those that this site cannot have -> why."""
    strict: bool = True
    """Whether it is the site that they were written on, where all that they name is there."""

    def choose(self, names: Iterable[str]) -> list[Fault]:
        """Raises UsageError for a name that no fault has."""
        return choose(self.by_id, names)

    def expected(self, plan: Plan) -> dict[str, Expected]:
        return {id: fault.expected(plan, self.site, strict=self.strict) for id, fault in self.by_id.items()}


def load(topology: Topology, written: Written | None = None) -> Faults:
    """The faults of every file under faults/, which are one name space. Raises FaultError."""
    texts = written or Written.of(site=topology.site)
    named: dict[str, Table] = {}
    for place, text in (("steps.toml", texts.steps), (f"sites/{topology.site}/steps.toml", texts.site_steps)):
        try:
            named |= steps.parse_named(text)
        except FaultError as error:
            raise FaultError(f"{place}: {error}") from None
    found: dict[str, Fault] = {}
    absent: dict[str, str] = {}
    for subject, text in texts.faults.items():
        try:
            here, elsewhere = _of_site(steps.toml(text), topology.site)
            faults = _faults(here, topology, named, subject)
            if twice := (found.keys() | absent.keys()) & (faults.keys() | elsewhere.keys()):
                raise FaultError(f"{min(twice)}: another file has a fault of this name")
        except FaultError as error:
            raise FaultError(f"faults/{subject}.toml: {error}") from None
        found |= faults
        absent |= elsewhere
    try:
        exceptions = _reasons(texts.exceptions)
        return Faults(
            found, {_fill(topology, p, f"{p}"): why for p, why in exceptions.items()}, absent, topology.site == FIRST
        )
    except FaultError as error:
        raise FaultError(f"exceptions.toml: {error}") from None


def parse(text: str, topology: Topology, named: Named | None = None, subject: str = "") -> dict[str, Fault]:
    """The faults of one file, which may use the steps `named`. Raises FaultError."""
    return _faults(_of_site(steps.toml(text), topology.site)[0], topology, named or {}, subject)


def _faults(tables: Mapping[str, object], topology: Topology, named: Named, subject: str) -> dict[str, Fault]:
    return {name: _fault(name, table, topology, named, subject) for name, table in tables.items()}


def _of_site(tables: Mapping[str, object], site: str) -> tuple[dict[str, object], dict[str, str]]:
    """Those that the site can have, and those that it cannot, each with its reason."""
    here, elsewhere = dict(tables), {}
    for name, table in tables.items():
        said = table.get("not_on", {}) if isinstance(table, dict) else {}
        if not isinstance(said, dict):
            raise FaultError(f"{name}.not_on: a table of sites, each with the reason")
        for where, why in said.items():
            if where not in sites():
                raise FaultError(f"{name}.not_on.{where}: no such site{nearest(where, sites())}")
            if not isinstance(why, str) or not why:
                raise FaultError(f"{name}.not_on.{where}: a reason, in words")
        if site in said:
            elsewhere[name] = said[site]
            del here[name]
    return here, elsewhere


def _fill(topology: Topology, text: str, where: str, form: Callable[[str], str] = str) -> str:
    try:
        return topology.fill(text, "", where, form)
    except TopologyError as error:
        raise FaultError(str(error)) from None


def choose(known: Mapping[str, Fault], names: Iterable[str]) -> list[Fault]:
    chosen = []
    for name in names:
        if name not in known:
            raise UsageError(f"no fault {name}{nearest(name, list(known))}")
        chosen.append(known[name])
    return chosen


def _reasons(text: str) -> dict[str, str]:
    found = steps.toml(text)
    for pattern, reason in found.items():
        if not isinstance(reason, str) or not reason:
            raise FaultError(f"{pattern}: an exception is a pattern with its reason")
    return found


def _fault(name: str, table: object, topology: Topology, named: Named, subject: str) -> Fault:
    if not isinstance(table, dict):
        raise FaultError(f"{name}: a fault is a table")
    for key in table:
        if key not in KEYS:
            raise FaultError(f"{name}.{key}: unknown key{nearest(key, KEYS)}")
    for key in ("does", "incident", "break", "roots"):
        if not table.get(key):
            raise FaultError(f"{name}.{key}: missing")
    # In a regular expression the site's words stand for themselves.
    evidence = {
        _fill(topology, results, f"{name}.evidence"): _fill(topology, pattern, f"{name}.evidence", re.escape)
        for results, pattern in table.get("evidence", {}).items()
    }
    for results, pattern in evidence.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise FaultError(f"{name}.evidence.{results}: {error}") from None
    read = steps.read(table, name, topology, named)
    if not read.heals:
        raise FaultError(f"{name}.heal: missing, and nothing that it uses has one")
    return Fault(
        id=name,
        subject=subject,
        does=_fill(topology, table["does"], f"{name}.does"),
        incident=table["incident"],
        steps=read,
        roots=_patterns(table, "roots", name, VIOLATED, topology) | _roots_on(table, name, topology),
        exceptions=_patterns(table, "except", name, HELD, topology),
        only=tuple(_patterns(table, "only", name, VIOLATED, topology)),
        evidence=evidence,
    )


def _roots_on(table: Table, name: str, topology: Topology) -> dict[str, str]:
    """What is a root on this site alone."""
    said = table.get("roots_on", {})
    if not isinstance(said, dict):
        raise FaultError(f"{name}.roots_on: a table of sites, each with patterns")
    for where in said:
        if where not in sites():
            raise FaultError(f"{name}.roots_on.{where}: no such site{nearest(where, sites())}")
    return _patterns({"roots_on": said.get(topology.site, {})}, "roots_on", name, VIOLATED, topology)


def _patterns(table: Table, key: str, name: str, usual: str, topology: Topology) -> dict[str, str]:
    """A pattern, a list of them, or a table with a verdict for each; where none is said it is the `usual` one."""
    said = table.get(key, {})
    found = {said: usual} if isinstance(said, str) else dict.fromkeys(said, usual) if isinstance(said, list) else said
    if not isinstance(found, dict):
        raise FaultError(f"{name}.{key}: patterns are a text, a list, or a table of verdicts")
    for pattern, verdict in found.items():
        if verdict not in VERDICTS:
            raise FaultError(f"{name}.{key}.{pattern}: {verdict} is not one of {', '.join(VERDICTS)}")
        if key == "only" and verdict != VIOLATED:
            raise FaultError(f"{name}.only.{pattern}: it has no verdict; except has")
    return {_fill(topology, pattern, f"{name}.{key}"): verdict for pattern, verdict in found.items()}
