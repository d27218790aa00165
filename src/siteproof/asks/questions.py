"""What is asked of a host, and what it answered. Plain data: all of it can go to another process and into a bundle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import ClassVar, Literal

from siteproof.errors import ChannelRefused, ProbeError, TimedOut, Truncated, Unanswered

ProbeClass = Literal["reads", "sends", "borrows", "changes"]

LOOKUPS = "the host's own name lookup"
"""What a question waits for, or needs, that has a name looked up by the host's own programs."""


@dataclass(frozen=True)
class Question:
    """One thing to ask on one host. Two questions with the same `key` are the same question."""

    host: str
    probe: str
    """The probe's name as an operator reads it, e.g. `getent ahostsv4`."""
    deadline_s: float
    probe_class: ProbeClass
    retries: int = field(default=0, kw_only=True)
    """How often it is asked again where no answer came for a reason that may pass (see `again`)."""
    retry_on: tuple[int, ...] = field(default=(), kw_only=True)
    """Statuses that are asked again like that although they are answers: of what is known to flap."""

    waits_for: str = field(default="", kw_only=True)
    """What it waits for where no answer comes: a server, a daemon, the host's own lookups. Questions that wait for the
    same thing on the same host are not all asked once some of them have waited in vain."""
    needs: tuple[str, ...] = field(default=(), kw_only=True)
    """What else has to work before it can be answered, in the words of `waits_for`. Where that has been given up, this
    is not asked either; that this waits in vain says nothing of it."""

    vain_on: tuple[int, ...] = field(default=(), kw_only=True)
    """Statuses of what is slow that say, though they are answers, that it came to nothing: it has waited in vain."""

    silence: str = field(default="", kw_only=True)
    """A regular expression, or none: a tool's answer in which it is found says that nothing came back to it."""

    BESIDE: ClassVar[frozenset[str]] = frozenset(
        {"probe_class", "retries", "retry_on", "waits_for", "needs", "vain_on", "silence"}
    )
    """Fields that are about the question, and change nothing of what the host is asked."""

    @property
    def waits(self) -> str:
        """`waits_for`; of a conversation with a server, that server."""
        return self.waits_for

    def again(self, answer: Recorded) -> bool:
        """Whether this answer is one of those that may be another one in a moment."""
        if isinstance(answer, Output):
            return answer.status in self.retry_on
        return isinstance(answer, TimedOut | Truncated | ChannelRefused | Unanswered)

    @cached_property
    def key(self) -> str:
        """Stable across processes, runs, machines and releases: the evidence is found by it.

        A field at its default is left out, so that a field which comes later leaves old bundles readable.
        """
        asked = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}
        canonical = {"kind": type(self).__name__} | {name: asked[name] for name in asked.keys() - self.BESIDE}
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Command(Question):
    """A POSIX sh script for the host's batch.

    Three variables are set for it: `$ROOT` is the prefix that runs one command as root (empty for root),
    `$NONCE` is unique to the run (for the name of what is borrowed), `$DEADLINE` is `deadline_s`.
    """

    BESIDE = Question.BESIDE | {"probe", "tools", "slow", "root_patterns"}

    script: str = ""
    tools: tuple[str, ...] = ()
    """The tools the script runs, for `--check-access` and for the lab, which breaks them."""
    root: bool = False
    root_patterns: tuple[tuple[str, str], ...] = ()
    """What a variable may hold that only the host knows and that `$ROOT` runs, as (name, glob) pairs. A star must be
    harmless, since sudo takes anything for it. Everything else is read from the script (see `sudoers`)."""
    slow: bool = False
    """Gets a channel of its own beside the batch, so that it holds nobody up."""


@dataclass(frozen=True)
class Versions(Command):
    """What a host is asked for the versions of tools: `part` 1 with the first round, another with a round of new ones.

    The evidence finds it by these two, whatever the tools are.
    """

    BESIDE = Command.BESIDE | {"script"}

    part: int = 0


@dataclass(frozen=True)
class Stream(Question):
    """A TCP conversation from the host, spoken by a client on our side through its SSH connection.

    `parameters` are the protocol's own, as (name, value) pairs.
    """

    BESIDE = Question.BESIDE | {"probe"}

    address: str = ""
    port: int = 0
    protocol: Literal["dns", "http", "https"] = "dns"
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def waits(self) -> str:
        return self.waits_for or f"{self.address} port {self.port}"


@dataclass(frozen=True)
class Earlier(Question):
    """What earlier runs were answered to the same question. No host is asked; see `past`."""

    of: str = ""
    """The key of that question."""
    path: str = ""
    """The directory of those runs; empty for where this run's own is."""
    since: str = ""
    """ISO date; older runs say nothing of the site as it is now."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a host answered. For a stream: `status` 0 and the received message in `stdout`."""

    status: int
    stdout: bytes
    stderr: bytes
    started: float
    """Seconds since the epoch, UTC, on the operator's clock."""
    seconds: float

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def errors(self) -> str:
        return self.stderr.decode("utf-8", "surrogateescape")


Recorded = Output | ProbeError
