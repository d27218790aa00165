"""Which tool gives yesterday's answers while which fault stands. That none is believed is shown on the lab itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab import faults, replays, shims, topology
from lab.errors import LabError

KNOWN = faults.load(topology.load())


def test_each_tool_that_answers_lies_while_a_fault_stands() -> None:
    pairs = replays.load(KNOWN, replays.file_of("lab"))
    liars = {tool for tools in pairs.values() for tool in tools}
    assert liars >= {"getent", "dig", "busctl", "unbound-control", "ip", "nft", "nmap", "curl", "crictl", "docker"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('no-such-fault = ["ip"]', "no-such-fault is no fault"),
        ('edge-dmz = "nft"', "edge-dmz has a list of tools"),
        ("edge-dmz = [1]", "edge-dmz has a list of tools"),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "replays.toml"
    path.write_text(text)
    with pytest.raises(LabError, match=says):
        replays.load(KNOWN, path)


def test_only_a_check_without_a_witness_may_echo() -> None:
    def seen(believed: tuple[str, ...], echoed: tuple[str, ...]) -> replays.Replayed:
        return replays.Replayed("edge-dmz", "nft", {"a[x]": "held"}, believed, echoed)

    assert seen((), ("a[x]",)).ok
    assert not seen(("a[x]",), ()).ok
    assert not replays.Replayed("edge-dmz", "nft", {}, (), ()).ok  # nothing was tried


def test_a_liar_says_again_what_it_has_said_and_nothing_else(tmp_path: Path) -> None:
    for name in ("real", "kept"):
        (tmp_path / name).mkdir()
    real, tool = tmp_path / "real/tool", tmp_path / "tool"
    real.write_text('#!/bin/sh\necho "now $NOW: $*"; echo "to stderr" >&2; exit 3\n')
    tool.write_text(shims.REPLAY.replace(shims.KEPT, str(tmp_path)))
    for path in (real, tool):
        path.chmod(0o755)

    def asked(now: str, *words: str) -> tuple[int, str, str]:
        line = [str(tool), *words]
        done = subprocess.run(line, env={**os.environ, "NOW": now}, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert asked("yesterday", "a b", "c") == (3, "now yesterday: a b c\n", "to stderr\n")
    (tmp_path / "liar").write_text("tool\n")
    assert asked("today", "a b", "c") == (3, "now yesterday: a b c\n", "to stderr\n")
    assert asked("today", "a", "b c") == (3, "now today: a b c\n", "to stderr\n")
    (tmp_path / "liar").write_text("another\n")
    assert asked("today", "a b", "c") == (3, "now today: a b c\n", "to stderr\n")
