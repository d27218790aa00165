"""Which version of a tool answered, and that no verdict hangs on whether it says so."""

from __future__ import annotations

import json
import subprocess

import pytest

from siteproof.asks import Command, Output, Question, Stream
from siteproof.errors import ProbeError, TimedOut
from siteproof.gather.protocol import question_from_json, question_to_json
from siteproof.probes.common import versions
from siteproof.probes.common.sections import MARK
from siteproof.probes.edge import nft

SAID = "".join(
    f"\n{MARK}status {line}\n{status}\n{MARK}{line}\n{text}\n"
    for line, text, status in (
        ("ip -V", "ip utility, iproute2-6.1.0, libbpf 1.1.2", 0),
        ("unbound -V", "Version 1.17.1", 0),
        ("systemctl --version", "systemd 252 (252.39-1~deb12u2)", 0),
        ("nft --version", "Usage: nft [ options ]", 0),
        ("curl --version", "curl 7.88.1 cannot be loaded", 127),
    )
)
BUSYBOX = f"""
{MARK}status cat --version
1
{MARK}cat --version
cat: unrecognized option '--version'

{MARK}status sed --version
0
{MARK}sed --version
This is not GNU sed version 4.0

{MARK}status ip -V
1
{MARK}ip -V
BusyBox v1.30.1 (Debian 1:1.30.1-6+b3) multi-call binary.

{MARK}end
"""
"""Of Debian 11's, as printed."""


class Store:
    def __init__(self, *answers: Output | ProbeError) -> None:
        self._answers = {versions.question("h", part).key: answer for part, answer in enumerate(answers, 1)}

    def get(self, question: Question) -> Output | ProbeError | None:
        return self._answers.get(question.key)


def output(text: str, status: int = 0) -> Output:
    return Output(status, text.encode(), b"", 0.0, 0.0)


def test_each_tool_says_its_own() -> None:
    tools = {"ip", "ss", "unbound-control", "busctl", "nft", "curl", "dig", "netplan", "git"}
    later = f"\n{MARK}status git --version\n0\n{MARK}git --version\ngit version 2.39.5\n\n{MARK}end\n"
    assert versions.read(Store(output(f"{SAID}\n{MARK}end\n"), output(later)), "h", tools) == {
        "busctl": "systemd 252 (252.39-1~deb12u2)",
        "curl": None,
        "dig": None,
        "git": "git version 2.39.5",
        "ip": "ip utility, iproute2-6.1.0, libbpf 1.1.2",
        "netplan": None,
        "nft": None,
        "ss": "ip utility, iproute2-6.1.0, libbpf 1.1.2",
        "unbound-control": "Version 1.17.1",
    }


def test_busybox_is_no_gnu_sed() -> None:
    seen = versions.read(Store(output(BUSYBOX)), "h", {"cat", "sed", "ip"})
    assert seen == {"cat": None, "sed": None, "ip": "BusyBox v1.30.1 (Debian 1:1.30.1-6+b3) multi-call binary."}


@pytest.mark.parametrize("answer", [output(SAID), output("Usage: sh"), output("", 127), TimedOut("too long")], ids=str)
def test_what_cannot_be_read_is_no_version(answer: Output | ProbeError) -> None:
    assert versions.read(Store(answer), "h", {"ip"}) == {"ip": None}


def test_an_old_bundle_has_none() -> None:
    assert versions.read(Store(), "h", {"ip"}) == {}


def asked(host: str, *tools: str) -> Command:
    return Command(host, "p", 1, "reads", "true", tools=tools)


def test_each_host_is_asked_once_for_each_tool() -> None:
    tools = versions.Asking()
    stream = Stream("c", "p", 1, "reads", address="192.0.2.1", port=53)
    first = tools.beside([asked("a", "ip"), asked("b"), asked("a", "cat", "dig"), stream])
    assert [question.key for question in first] == [versions.question("a", 1).key]
    assert tools.beside([asked("a", "ip", "dig")]) == []
    (later,) = tools.beside([asked("a", "ip", "nft"), asked("a", "cat")])
    assert later.key == versions.question("a", 2).key
    assert isinstance(later, Command)
    assert "says nft --version" in later.script
    assert "dig" not in later.script
    assert not later.root


def test_it_is_the_same_question_in_another_process() -> None:
    (question,) = versions.Asking().beside([asked("a", "ip")])
    told = json.loads(json.dumps(question_to_json(question)))
    assert question_from_json(told) == question


def test_the_script_runs_here_to_its_end() -> None:
    script = versions.question("h", 1, versions.says()).script
    done = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert all(versions.read(Store(output(done.stdout)), "h", {"sed", "cat", "grep"}).values())


def test_the_module_of_a_tool_says_what_tells_its_version() -> None:
    assert nft.VERSION == {"nft": "nft --version"}
    assert versions.says().items() >= {**versions.SYSTEM, **nft.VERSION, "ss": "ip -V"}.items()


def test_no_two_modules_say_it_of_one_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "VERSION", {"dig": "dig -v"})
    with pytest.raises(TypeError, match="the version of dig"):
        versions.says.__wrapped__()
