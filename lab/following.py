"""What brings what along: the edges that the checks declare, over the results of one site."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import LabError

# (the check that is violated first, the check that follows from it)
Edge = tuple[str, str]


@dataclass(frozen=True)
class Planned:
    """One result, as far as edges see it: a check, and the host that it is looked at from, if it is one host."""

    check: str
    host: str | None
    among: tuple[str, ...] = ()
    """The hosts that it is of, where it is looked at from no one host and is of no others."""


@dataclass(frozen=True)
class Plan:
    """The results of a site, by `id[subject]`, and what each check declares to follow from.

    An edge is what it is to the suite's report, which prints a finding under its root: it holds on one host, and from
    anywhere where the root is not looked at on the follower's host at all; what is of some hosts follows from no other.
    """

    results: Mapping[str, Planned]
    follows: Mapping[str, Sequence[str]]
    files: Mapping[str, str] = field(default_factory=dict)
    """Check -> the file it stands in, from the project's directory; empty where nobody needs to know."""

    def __post_init__(self) -> None:
        followers: dict[str, list[str]] = {}
        for follower, roots in self.follows.items():
            for root in roots:
                followers.setdefault(root, []).append(follower)
        by_check: dict[str, list[str]] = {}
        for key, result in self.results.items():
            by_check.setdefault(result.check, []).append(key)
        object.__setattr__(self, "_followers", followers)
        object.__setattr__(self, "_by_check", by_check)
        object.__setattr__(self, "_looked_at", {(r.check, r.host) for r in self.results.values()})

    _followers: Mapping[str, list[str]] = field(init=False, repr=False, compare=False)
    _by_check: Mapping[str, list[str]] = field(init=False, repr=False, compare=False)
    _looked_at: frozenset[tuple[str, str | None]] = field(init=False, repr=False, compare=False)

    @property
    def edges(self) -> set[Edge]:
        """Every edge whose two checks have results here: no fault can exercise another one."""
        return {
            (root, follower)
            for follower, roots in self.follows.items()
            for root in roots
            if root in self._by_check and follower in self._by_check
        }

    def brought_along(self, key: str) -> Iterator[str]:
        """The results that a violation of `key` brings along by one edge."""
        root = self.results[key]
        for follower in self._followers.get(root.check, ()):
            for other in self._by_check.get(follower, ()):
                host, among = self.results[other].host, self.results[other].among
                if among and root.host is not None and root.host not in among:
                    continue
                if host == root.host or (root.check, host) not in self._looked_at:
                    yield other

    def exercised(self, violated: Iterable[str]) -> set[Edge]:
        """The edges with a violated result at both ends."""
        every = set(violated)
        return {
            (self.results[key].check, self.results[other].check)
            for key in every
            for other in self.brought_along(key)
            if other in every and other != key
        }


def from_register(register: Any) -> Plan:
    """The plan in the suite's register: a list of checks. Raises LabError if it is something else."""
    results: dict[str, Planned] = {}
    follows: dict[str, Sequence[str]] = {}
    files: dict[str, str] = {}
    try:
        for entry in register:
            check = entry["id"]
            follows[check] = list(entry["follows"])
            files[check] = entry["check"].partition("::")[0]
            for subject in entry["subjects"]:
                results[f"{check}[{subject['subject']}]"] = Planned(
                    check, subject["host"], tuple(subject.get("among", ()))
                )
    except (KeyError, TypeError, AttributeError) as error:
        raise LabError(f"this is not what the suite's --register writes: {error!r}") from None
    return Plan(results, follows, files)


def read_register(file: str) -> Plan:
    """`-` is stdin. Raises LabError if the file is no register."""
    try:
        return from_register(json.loads(sys.stdin.read() if file == "-" else Path(file).read_text()))
    except (OSError, ValueError) as error:
        raise LabError(f"{file} is not what the suite's --register writes: {error}") from None
