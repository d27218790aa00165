"""A broken probe is never read as an answer: recorded answers, damaged in every way we know.

What a probe makes of a damaged answer is a ProbeError, or the answer that it made of the whole one, and never another.
How much is tried is `damage.AMOUNT`. The counts stand at the end of the run, and go to the file that
`SITEPROOF_CORRUPTION` names.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache, partial
from typing import Any

import damage
import pytest
import recorded
from damage import EVERYTHING, NEW
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from recorded import Recording

from siteproof.asks import Command, Output, Stream, stderr
from siteproof.errors import ProbeError, Unanswered
from siteproof.probes.common.log_words import Said
from siteproof.probes.edge.nat import Forward, NatRules
from siteproof.probes.pulls.crictl import Pull
from siteproof.probes.pulls.crictl_images import Again
from siteproof.probes.swarm.dockerd import AllocatorLog
from siteproof.probes.swarm.model import SwarmState
from siteproof.probes.swarm.swarm_canary import CanaryRun
from siteproof.runtimes.containerd import Containerd

SAMPLE = 45
"""Ways of damage tried per recording, unless all are."""
DIALECTS = 8
"""Spellings of the same tried per recording, unless all are."""
EXAMPLES = 8
"""Random ones, twice."""
SLOW = frozenset({"dockerapi-20.10-twice", "dockerapi-29.8-moments"})

RECORDINGS = recorded.every()

FAMILIES = {"name_files": "resolver", "resolved": "resolver", "journalctl": "systemctl", "docker": "dockerapi"}
"""Tools whose outputs are alike; "another tool's answer" is one from outside."""

# Where damage makes what the tool prints in another, real situation, and something else tells the two apart.
LEGAL: dict[str, dict[str, str]] = {
    "docker_registries": {
        "without the key InsecureRegistryCIDRs": "nothing of it, as Go leaves it out; every registry is verified then",
        "null at InsecureRegistryCIDRs": "nothing of it, as Go has it; every registry is verified then",
        "without the key Mirrors": "no mirror, as Go leaves it out",
        "null at Mirrors": "no mirror, as Docker has it since 23",
    },
    "nft_forwards": {
        "without the key flags": "a table that is not dormant",
        "without the key port": "DNAT that keeps the port",
        "without the key addr": "DNAT that keeps the address",
        "without the key elem": "a set with nothing in it",
        "null at elem": "the same",
        "without the key expr": "a rule that does nothing",
        "null at expr": "the same",
        "null at flags": "a table that is not dormant",
    },
    "swarm_words": {
        "services: nothing": "a swarm without services; it only vouches for the API, which lists them",
        "services: blank lines": "a swarm without services; it only vouches for the API, which lists them",
    },
    "overlay_view": {
        "null at Containers": "a network with nothing of this node on it",
        "null at Subnets": "as before Docker 29",
        "without the key Subnets": "as before Docker 29",
        "subnets for the key Subnets": "as before Docker 29",
        "null at Status": "as before Docker 29",
        "without the key Status": "as before Docker 29",
        "status for the key Status": "as before Docker 29",
    },
    "swarm_state": {
        "null at DefaultAddrPool": "a swarm from before 18.09",
        "null at Addresses": "not allocated yet",
        "null at VirtualIPs": "a service on no network",
        "without the key Condition": "a service whose tasks are made anew, which is wanted whole",
        "without the key RestartPolicy": "a service whose tasks are made anew, which is wanted whole",
        "restartpolicy for the key RestartPolicy": "a service whose tasks are made anew, which is wanted whole",
        "null at RestartPolicy": "a service whose tasks are made anew, which is wanted whole",
        "without the key TaskTemplate": "a service whose tasks are made anew, which is wanted whole",
        "tasktemplate for the key TaskTemplate": "a service whose tasks are made anew, which is wanted whole",
        "null at TaskTemplate": "a service whose tasks are made anew, which is wanted whole",
        "without the key Addr": "not allocated yet",
        "without the key Addresses": "not allocated yet",
        "without the key VirtualIPs": "a service on no network",
    },
    "routes": {"routes: an empty list": "no network beside the default route; the local table is the control"},
    "link_towards": {
        "without the key table": "the main table decides",
        "table2 for the key table": "the same",
    },
    "uplinks": {"defaults: an empty list": "the way to the internet is no default route, but two halves"},
    "unbound_forwards": {"forwards: nothing": "no forwards; the status of the daemon is the control"},
}
LEGAL["swarm_moments"] = LEGAL["swarm_state"]
# Headers of HTTP and keys that a tool may leave out cannot be told from others of a like name.
NOT_STRUCTURE = {"registry_answer", "overlay_view", "link_towards"}

STRUCTURE = re.compile(
    rb'"[A-Za-z_ ]+"\s*:'  # JSON keys
    rb"|^== siteproof [a-z]+\n"  # the script's own marks
    rb'|</?[a-z]+\b|\b[a-z_]+=(?=")'  # XML
    rb"|(?<= )--?[a-z][a-z-]*(?= )",  # options
    re.MULTILINE,
)


def judged(answer: Any) -> Any:
    """An answer without what it only quotes: another wording is no other answer."""
    if isinstance(answer, Pull | Again):
        return replace(answer, failure="said" if answer.failure else "")
    if isinstance(answer, CanaryRun):
        return replace(answer, errors=("said",) if answer.errors else ())
    if isinstance(answer, AllocatorLog):
        return replace(answer, exhausted=_quoting(answer.exhausted), raced=_quoting(answer.raced))
    if isinstance(answer, NatRules):
        return replace(answer, forwards=tuple(map(_without_words, answer.forwards)))
    if isinstance(answer, Containerd):
        # Checks only quote a hosts.toml that is none.
        texts = {directory: _toml(text) for directory, text in answer.directories.items()}
        return replace(answer, directories=texts)
    if isinstance(answer, SwarmState) and answer.unread:
        return Unknown()  # it says itself what could not be read, and what it has is asked for through that
    if type(answer) is not tuple:
        return answer
    parts = tuple(map(judged, answer))
    return Unknown() if Unknown() in parts else parts


def _toml(text: str | None) -> str | None:
    try:
        tomllib.loads(text or "")
    except tomllib.TOMLDecodeError:
        return "no TOML"
    return text


def _quoting(found: Said) -> Said:
    return replace(found, examples=("said",) * len(found.examples))


def _without_words(forward: Forward) -> Forward:
    target = "" if forward.target.startswith("{") else forward.target
    return replace(forward, rule="", target=target, unknown="said" if forward.unknown else "")


def _doubts(seen: Any, whole: Any) -> bool:
    """Whether what is not what it was is in doubt, by the answer's own word; the rest of it still stands."""
    if not isinstance(seen, NatRules) or not isinstance(whole, NatRules):
        return False
    known = [forward for forward in seen.forwards if not forward.unknown]
    return len(known) < len(seen.forwards) and all(forward in whole.forwards for forward in known)


def in_any_order(answer: Any) -> Any:
    """An answer whose tuples come in the order of their words."""
    if is_dataclass(answer) and not isinstance(answer, type):
        return type(answer), [in_any_order(getattr(answer, f.name)) for f in fields(answer) if f.compare]
    if isinstance(answer, tuple):
        return sorted(map(in_any_order, answer), key=repr)
    if isinstance(answer, Mapping):
        return {key: in_any_order(value) for key, value in answer.items()}
    return answer


@dataclass(frozen=True)
class Unknown:
    """What every ProbeError comes to, but Unanswered: that a server is silent is an answer to some checks."""


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return judged(read())
    except Unanswered:
        return Unanswered
    except ProbeError:
        return Unknown()


class Tally:
    """What came of the damage done to one recording."""

    def __init__(self, recording: Recording, *, known: Callable[[Any], Any] = lambda answer: answer) -> None:
        self.recording = recording
        self.known = known
        """What of an answer decides whether it is another one."""
        self.single = recording.single
        self.whole = self.read(recording.output)
        self.counts = Counter({"tried": 0, "unknown": 0, "unchanged": 0})
        self.misread: list[str] = []

    def read(self, output: Output) -> Any:
        return outcome(lambda: self.single.read(lambda question: output))

    def try_(self, what: str, output: Output) -> None:
        self.counts["tried"] += 1
        seen = self.read(output)
        same = self.known(seen) == self.known(self.whole)
        if seen == Unknown() or (not same and _doubts(seen, self.whole)):
            self.counts["unknown"] += 1
        elif same:
            self.counts["unchanged"] += 1
        else:
            self.misread.append(f"{what}: {seen}")


@cache
def _answers() -> dict[str, Recording]:
    """One whole answer of each family of tools."""
    found: dict[str, Recording] = {}
    for recording in RECORDINGS:
        if recording.expected is not None:
            found.setdefault(FAMILIES.get(recording.tool, recording.tool), recording)
    return found


def others(recording: Recording) -> list[Output]:
    """One whole answer of each other tool, but for one to the same question: who answers on port 53, say."""
    own = FAMILIES.get(recording.tool, recording.tool)
    strangers = [answer for family, answer in _answers().items() if family != own]
    return [answer.output for answer in strangers if answer.probe != recording.probe]


def ways(recording: Recording) -> list[tuple[str, Output]]:
    """All ways; or a sample, another one for each recording and the same in every run."""
    legal = LEGAL.get(recording.probe, {})
    foreign = others(recording)
    if isinstance(recording.single.question, Stream):
        every = list(damage.stream(recording.output, foreign[:6]))
    else:
        every = [*damage.whole(recording.output, foreign), *damage.sections(recording.output, foreign[:6])]
        if recording.name not in SLOW or EVERYTHING:
            every += damage.documents(recording.output)
    tried = [(what, output) for what, output in every if what not in legal]
    step = 1 if EVERYTHING else max(1, len(tried) // SAMPLE)
    return tried[zlib.crc32(recording.name.encode()) % step :: step]


def named(recordings: Iterable[Recording]) -> list[Any]:
    return [pytest.param(recording, id=recording.name) for recording in recordings]


@pytest.mark.parametrize("recording", named(RECORDINGS))
def test_damage_makes_an_answer_unknown_or_leaves_it(
    recording: Recording, record_property: Callable[[str, object], None]
) -> None:
    tally = Tally(recording)
    for what, output in ways(recording):
        tally.try_(what, output)
    _at_random(tally)
    record_property("corruption", {**tally.counts, "misread": len(tally.misread), "probe": recording.probe})
    assert tally.misread == []


@pytest.mark.parametrize("recording", named(r for r in RECORDINGS if not isinstance(r.single.question, Stream)))
def test_another_versions_spelling_makes_an_answer_unknown_or_leaves_it(
    recording: Recording, record_property: Callable[[str, object], None]
) -> None:
    """What means the same is no other answer: null, [] or {} for nothing, keys in another order, new keys."""
    tally = Tally(recording, known=in_any_order)
    every = list(damage.dialects(recording.output))
    step = 1 if EVERYTHING else max(1, len(every) // DIALECTS)
    for what, output in every[zlib.crc32(recording.name.encode()) % step :: step]:
        tally.try_(what, output)
    record_property("corruption", {**tally.counts, "misread": len(tally.misread)})
    assert tally.misread == []


ANSWERED = [r for r in RECORDINGS if r.expected is not None and isinstance(r.single.question, Command)]


@pytest.mark.parametrize("recording", named(ANSWERED))
def test_words_that_nobody_knows_leave_no_answer(recording: Recording) -> None:
    """An answer that stays as it was is misread here: the words may say that not everything was read."""
    seen = {what: outcome(partial(recording.read, output)) for what, output in damage.said_beside(recording.output)}
    assert seen == dict.fromkeys(seen, Unknown())


@pytest.mark.parametrize("recording", named(ANSWERED))
def test_words_that_are_known_change_no_answer(recording: Recording) -> None:
    question = recording.single.question
    assert isinstance(question, Command)
    for known in stderr.known(question):
        beside = replace(recording.output, stderr=recording.output.stderr + f"{known.example}\n\n".encode() * 2)
        assert recording.read(beside) == recording.answer, known.example


def _at_random(tally: Tally) -> None:
    text = tally.recording.output.stdout
    if not text:
        return
    places = [i for m in STRUCTURE.finditer(text) for i in range(m.start(), m.end())]
    quietly = settings(
        max_examples=EXAMPLES * (20 if EVERYTHING else 1),
        deadline=None,
        database=None,
        derandomize=not NEW,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    @quietly
    @given(st.integers(0, len(text) - 1))
    def cut(end: int) -> None:
        # The last line's end is not asked for.
        if text[end:].strip():
            tally.try_(f"cut after {end} bytes", replace(tally.recording.output, stdout=text[:end]))

    @quietly
    @given(st.sampled_from(places), st.integers(0, 7))
    def flip(place: int, bit: int) -> None:
        flipped = bytes((*text[:place], text[place] ^ 1 << bit, *text[place + 1 :]))
        tally.try_(f"bit {bit} of byte {place} flipped", replace(tally.recording.output, stdout=flipped))

    cut()
    if places and tally.recording.probe not in NOT_STRUCTURE and not isinstance(tally.single.question, Stream):
        flip()
