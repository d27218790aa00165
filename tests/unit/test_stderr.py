"""What a tool says beside a good answer is known, or there is no answer."""

from __future__ import annotations

import subprocess
import time

import pytest

from siteproof.asks import Command, Output, Stream, command, stderr
from siteproof.asks.stderr import EVERY_TOOL, SUDO, TOOLS, Known
from siteproof.errors import ProbeError, Unparseable
from siteproof.transport.batch import Frames, RunContext, script

EVERY = [*EVERY_TOOL, *SUDO, *(one for known in TOOLS.values() for one in known)]


def read(output: Output, *, tools: tuple[str, ...] = (), root: bool = False, status: int = 0) -> str:
    ask = command("h", "true", probe="p", parse=lambda o: o.text, tools=tools, root=root, answers=frozenset({0, 1}))
    return ask.read(lambda _: output)


def output(errors: str, status: int = 0) -> Output:
    return Output(status, b"answer", errors.encode("utf-8", "surrogateescape"), 0.0, 0.0)


@pytest.mark.parametrize("known", EVERY, ids=lambda known: known.example[:40])
def test_each_known_line_is_that_of_its_example_and_says_where_it_is_from(known: Known) -> None:
    assert known.end(known.example, 0) == len(known.example)
    assert known.end(f"{known.example}\n", 0) == len(known.example) + 1
    assert known.end(f"x {known.example}", 0) is None
    assert known.end(f"{known.example} x", 0) is None or known.example.endswith(("milliseconds", "denied", "known"))
    assert known.source.startswith("https://")
    assert known.because and not known.because.endswith(".")


@pytest.mark.parametrize("status", [0, 1])
def test_no_status_that_is_an_answer_excuses_words(status: int) -> None:
    assert read(output("", status)) == "answer"
    with pytest.raises(Unparseable, match=rf"p on h ended with status {status} beside .*: 'a file was skipped'"):
        read(output("\n\na file was skipped\nand another\n", status))


def test_a_line_is_known_for_the_tools_of_its_question_alone() -> None:
    words = output("RTTVAR has grown to over 2.3 seconds, decreasing to 2.0\n" * 3)
    assert read(words, tools=("ip", "nmap")) == "answer"
    with pytest.raises(Unparseable):
        read(words, tools=("ip",))


def test_words_of_sudo_are_known_where_something_runs_as_root() -> None:
    words = output("sudo: unable to resolve host cp1: Name or service not known\n")
    assert read(words, root=True) == "answer"
    with pytest.raises(Unparseable):
        read(words)


def test_the_first_unknown_line_of_many_is_told_and_nothing_moves_the_cursor() -> None:
    words = "sudo: unable to resolve host cp1\n\x1b[2J\x9bnew\u202e words\xff\nmore\n"
    with pytest.raises(Unparseable) as raised:
        read(output(words), root=True)
    assert "new" in str(raised.value) and "more" not in str(raised.value)
    assert str(raised.value).isprintable()


def test_no_line_is_known_by_its_beginning() -> None:
    for known in EVERY:
        with pytest.raises(ProbeError):
            read(output(f"{known.example}\x1b[0m, and 3 files were skipped\x00\n"), tools=("ss", "nmap", "find"))


def test_many_words_are_read_in_a_moment() -> None:
    long = "find: '/proc/4711/comm': No such file or directory\n" * 80_000
    began = time.monotonic()
    assert read(output(long), tools=("find", "crictl", "curl", "docker")) == "answer"
    for hostile in ("curl: (" * 500_000, "More details here: " + " \n" * 1_000_000, "image " + "x " * 2_000_000):
        with pytest.raises(Unparseable):
            read(output(hostile), tools=("find", "crictl", "curl", "docker", "netplan"))
    assert time.monotonic() - began < 20


def test_a_stream_has_no_known_words() -> None:
    assert stderr.known(Stream("h", "p", 5, "reads", address="192.0.2.1", port=53)) == []


def test_a_frame_has_the_words_of_its_command_and_nothing_else() -> None:
    """What the shell, its profile or another command said is in no answer, and no line's end of ours is."""
    said = ["printf 'no end' >&2", "echo two >&2; echo lines >&2", "true", "echo after >&2; false", "nosuchtool", ":"]
    commands = [Command("h", text, 5, "reads", script=text) for text in said]
    asked = script(commands, nonce="n0nce", run=RunContext("r"), sudo="sudo -n")
    profile = b"echo 'mesg: ttyname failed: Inappropriate ioctl for device' >&2\n"
    for shell in (["dash", "-s"], ["bash", "-s"], ["bash", "--posix", "-s"]):
        ended = subprocess.run(shell, input=profile + asked, capture_output=True, check=False)
        frames = Frames("n0nce", 1 << 20)
        answers = [*frames.stdout(ended.stdout), *frames.stderr(ended.stderr)]
        words = [answer.stderr for answer in answers]
        assert words[:4] + words[5:] == [b"no end", b"two\nlines\n", b"", b"after\n", b""]
        assert b"nosuchtool" in (words[4] or b"")
