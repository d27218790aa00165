"""The batch without SSH: frames out of chunks of any size, and the script in every shell of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import shells
from hypothesis import given
from hypothesis import strategies as st

from siteproof.asks import MISSING, Command
from siteproof.transport import batch
from siteproof.transport.batch import Answer, FrameReader, Frames, Mark, OutOfFrame, RunContext

NONCE = "0123456789abcdef0123456789abcdef"
CAP = 64

bodies = st.binary(max_size=CAP + 40).filter(lambda body: NONCE.encode() not in body)
statuses = st.integers(0, 255)


def kept(body: bytes) -> bytes | None:
    return body if len(body) <= CAP else None


@st.composite
def chunked(draw: st.DrawFn, streams: tuple[bytes, bytes]) -> list[tuple[int, bytes]]:
    """Both streams cut anywhere and interleaved anyhow, each in its own order."""
    left = list(streams)
    chunks = []
    while any(left):
        stream = draw(st.sampled_from([n for n in (0, 1) if left[n]]))
        length = draw(st.integers(1, len(left[stream])))
        chunks.append((stream, left[stream][:length]))
        left[stream] = left[stream][length:]
    return chunks


@given(st.data(), st.lists(st.tuples(bodies, bodies, statuses), max_size=4), bodies)
def test_answers_are_what_was_written_however_it_is_cut(
    data: st.DataObject, written: list[tuple[bytes, bytes, int]], noise: bytes
) -> None:
    out = noise + f"\n{NONCE} start timeout -k 1\n".encode()
    errors = noise + f"\n{NONCE} start\n".encode()
    for index, (stdout, stderr, status) in enumerate(written):
        took = f" 100.25 {100.25 + index:.2f}" if index % 2 else "  "
        out += stdout + f"\n{NONCE} {index} {status}{took}\n".encode()
        errors += stderr + f"\n{NONCE} {index}\n".encode()
    frames = Frames(NONCE, CAP)
    answers: list[Answer] = []
    for stream, chunk in data.draw(chunked((out, errors))):
        answers += frames.stderr(chunk) if stream else frames.stdout(chunk)
    assert answers == [Answer(i, s, kept(o), kept(e), i if i % 2 else None) for i, (o, e, s) in enumerate(written)]
    assert frames.timeout == "timeout -k 1"
    assert frames.rest == (b"", b"")


@given(st.lists(st.binary(min_size=1, max_size=3 * CAP), max_size=40))
def test_memory_is_bounded_whatever_comes(chunks: list[bytes]) -> None:
    reader = FrameReader(NONCE, CAP)
    for chunk in chunks:
        reader.feed(chunk)
        assert len(reader.rest) <= CAP + len(NONCE) + 2
    assert reader.too_large == (sum(map(len, chunks)) > len(reader.rest))


def test_after_too_much_the_next_frame_is_whole_again() -> None:
    reader = FrameReader(NONCE, CAP)
    assert reader.feed(b"x" * 1000) == []
    assert reader.too_large
    assert reader.feed(f"\n{NONCE} 0 0\nyes\n{NONCE} 1 0\n".encode()) == [Mark("0", "0", None), Mark("1", "0", b"yes")]
    assert not reader.too_large


@pytest.mark.parametrize(
    ("out", "errors"),
    [
        (["start none", "1 0"], ["start", "1"]),
        (["start none", "0 0"], ["start", "1"]),
        (["start none", "0 x"], ["start", "0"]),
        (["start none", "0 0 1.00"], ["start", "0"]),
        (["start none", "0 0 1.00 soon"], ["start", "0"]),
        (["0 0"], ["0"]),
        (["start none", "start none"], ["start", "start"]),
    ],
)
def test_a_mark_out_of_place_is_never_an_answer(out: Sequence[str], errors: Sequence[str]) -> None:
    frames = Frames(NONCE, CAP)
    frames.stdout("".join(f"\n{NONCE} {line}\n" for line in out).encode())
    with pytest.raises(OutOfFrame):
        assert frames.stderr("".join(f"\n{NONCE} {line}\n" for line in errors).encode()) == []


def command(script: str, deadline_s: float = 5.0) -> Command:
    return Command(host="h", probe="p", deadline_s=deadline_s, probe_class="reads", script=script)


@pytest.mark.parametrize(
    ("deadline_s", "status", "on_host", "seconds", "used_up"),
    [
        (5, 124, None, 7.02, True),
        (5, 137, None, 8.01, True),
        (5, 124, None, 6.3, True),  # the mark before it was late by 0.7 s
        (5, 124, None, 5.0, False),  # a timeout inside the probe that answered in time
        (5, 137, None, 0.01, False),  # killed by somebody else
        (5, 1, None, 60, False),
        (0.2, 124, None, 3.0, True),
        (5, 124, 7.0, 0.1, True),  # both marks came late, and together
        (5, 124, 6.0, 60, False),  # a tool's own deadline, and a slow way back
    ],
)
def test_a_timeout_is_one_only_when_the_time_was_used_up(
    deadline_s: float, status: int, on_host: float | None, seconds: float, used_up: bool
) -> None:
    answer = Answer(0, status, b"", b"", on_host)
    assert batch.used_up(command("", deadline_s), answer, seconds) is used_up


def test_portions_keep_the_order_and_bound_the_script() -> None:
    commands = [command("x" * 100_000 + str(n)) for n in range(5)] + [command("y" * 1_000_000)]
    portions = list(batch.portions(commands))
    assert [c for portion in portions for c in portion] == commands
    assert [len(portion) for portion in portions] == [2, 2, 1, 1]


SHELLS = [pytest.param(list(words), id=" ".join(words)) for words in shells.POSIX]
SHELLS_OF_PATH = [
    pytest.param(list(words), id=" ".join(words)) for words in shells.POSIX if shells.takes_tools_of_path(words)
]


def ask(shell: list[str], path: str, commands: Sequence[Command], *, sudo: str = "sudo -n") -> list[Answer]:
    script = batch.script(commands, nonce=NONCE, run=RunContext("abcdef012345"), sudo=sudo)
    argv = [shutil.which(shell[0]) or shell[0], *shell[1:], "-s"]
    environment = {"PATH": path, "HOME": "/"}
    done = subprocess.run(argv, input=script, capture_output=True, env=environment, timeout=20, check=False)
    frames = Frames(NONCE, 1 << 20)
    assert frames.stdout(done.stdout) == []
    return frames.stderr(done.stderr)


TOOLS = ["sh", "cat", "id", "sleep", "printf", "env", "true", "head"]


@pytest.fixture(params=[True, False], ids=["timeout", "no timeout"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    for tool in [*TOOLS, "timeout"] if request.param else TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / tool).symlink_to(found)
    return str(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_frames_the_same(shell: list[str], path: str) -> None:
    scripts = [
        "echo out; echo err >&2; exit 3",
        "printf 'no newline'",
        "kill -9 $$",
        "exit 255",
        "cat; read -r line; echo $?",
        "printf '\\0\\377'",
        'echo "$NONCE $DEADLINE $LC_ALL"; cd; pwd',
        "need cat sleep; echo both",
        "need cat nosuchtool; echo not reached",
        "need nosuchtool | cat; echo a pipe hides it",
        "echo \"it's $((1 + 1))\" '\"'",
        "exec 1>&2; echo moved",
        "echo still here",
    ]
    answers = ask(shell, path, [command(script) for script in scripts])
    seen = [(answer.status, answer.stdout) for answer in answers]
    assert seen == [
        (3, b"out\n"),
        (0, b"no newline"),
        (137, b""),
        (255, b""),
        (0, b"1\n"),
        (0, b"\0\xff"),
        (0, b"abcdef012345 5 C\n/\n"),
        (0, b"both\n"),
        (127, b""),
        (0, b"a pipe hides it\n"),
        (0, b"it's 2 \"\n"),
        (0, b""),
        (0, b"still here\n"),
    ]
    assert answers[0].stderr == b"err\n"
    assert answers[2].stderr == b""
    assert answers[8].stderr == f"{MISSING}nosuchtool\n".encode()
    assert answers[11].stderr == b"moved\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_what_runs_on_in_the_background_does_not_write_into_the_next_frame(shell: list[str], tmp_path: Path) -> None:
    answers = ask(
        shell,
        os.environ["PATH"],
        [command("(sleep 0.2; echo late) & echo now"), command("sleep 0.4; echo after")],
    )
    assert [answer.stdout for answer in answers] == [b"now\n", b"after\n"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_syntax_error_is_only_its_own_command_s(shell: list[str], path: str) -> None:
    broken, after = ask(shell, path, [command(") ("), command("echo still here")])
    assert broken.status not in (0, 127)
    assert (after.status, after.stdout) == (0, b"still here\n")


def test_the_host_itself_ends_what_hangs() -> None:
    begun = time.monotonic()
    hanging, after = ask(["sh"], os.environ["PATH"], [command("sleep 60", deadline_s=0.1), command("echo after")])
    seconds = time.monotonic() - begun
    assert batch.used_up(command("", 0.1), hanging, seconds)
    assert hanging.host_seconds is not None
    assert after.host_seconds is not None
    assert 0 <= after.host_seconds < hanging.host_seconds <= seconds + 0.01
    assert seconds < 5
    assert after.stdout == b"after\n"


@pytest.mark.skipif(os.getuid() != 0, reason="the prefix is empty for root only")
@pytest.mark.parametrize("shell", SHELLS)
def test_root_needs_no_prefix(shell: list[str], path: str) -> None:
    (answer,) = ask(shell, path, [command('echo "<$ROOT>"')], sudo="no_sudo")
    assert answer.stdout == b"<>\n"


def as_somebody(tmp_path: Path, path: str) -> str:
    """`path` with an `id` in front that says we are not root."""
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "somebody" / "id").chmod(0o755)
    return f"{tmp_path}/somebody:{path}"


@pytest.mark.parametrize("shell", SHELLS_OF_PATH)
def test_others_get_a_prefix_with_the_deadline_inside_sudo(shell: list[str], tmp_path: Path, path: str) -> None:
    (answer,) = ask(shell, as_somebody(tmp_path, path), [command('echo "<$ROOT>"', deadline_s=2.5)])
    expected = b"<sudo -n timeout -k 1 3>\n" if (tmp_path / "timeout").exists() else b"<sudo -n>\n"
    assert answer.stdout == expected


@pytest.mark.parametrize("shell", SHELLS_OF_PATH)
def test_sudo_is_not_called_where_the_inventory_forbids_it(shell: list[str], tmp_path: Path, path: str) -> None:
    somebody = as_somebody(tmp_path, path)
    (answer,) = ask(shell, somebody, [command("$ROOT cat /etc/shadow")], sudo="no_sudo")
    assert (answer.status, answer.stdout) == (1, b"")
    assert answer.stderr and answer.stderr.startswith(b"sudo: not used")


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_login_sets_does_not_change_its_tools(shell: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """POSIXLY_CORRECT makes GNU's tools take an option behind an operand for another operand."""
    changes = {"POSIXLY_CORRECT": "1", "CDPATH": "/", "TIME_STYLE": "+%s", "GREP_OPTIONS": "-v", "LANG": "de_DE.UTF-8"}
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    script = batch.script([command("env; ls / -d")], nonce=NONCE, run=RunContext("abcdef012345"), sudo="sudo -n")
    argv = [shutil.which(shell[0]) or shell[0], *shell[1:], "-s"]
    done = subprocess.run(argv, input=script, capture_output=True, timeout=20, check=False)
    frames = Frames(NONCE, 1 << 20)
    assert frames.stdout(done.stdout) == []
    (answer,) = frames.stderr(done.stderr)
    assert answer.status == 0, answer.stderr
    said = (answer.stdout or b"").decode().splitlines()
    assert said[-1] == "/"
    assert not [line for line in said if line.split("=")[0] in changes.keys() - {"LANG"}]
    assert "LC_ALL=C" in said


NO_JSON = """#!/bin/sh
case $1 in -j) echo 'Option "-j" is unknown, try "ip -help".' >&2; exit 255 ;; esac
[ "$*" != "-4 route show" ] || exit 2
echo "text of $*"
"""


@pytest.mark.parametrize(
    ("ip", "status", "said"),
    [
        (NO_JSON, 2, "siteproof: text\ntext of link show\nsiteproof: end of text\nsiteproof: text\n"),
        ('#!/bin/sh\necho "[$*]"\n', 0, "[-j link show]\n[-j -4 route show]\n"),
        ("#!/bin/sh\necho broken >&2; exit 1\n", 1, ""),
    ],
    ids=["no json", "json", "broken"],
)
@pytest.mark.parametrize("shell", SHELLS_OF_PATH)
def test_an_ip_without_json_is_asked_for_text(
    shell: list[str], tmp_path: Path, path: str, ip: str, status: int, said: str
) -> None:
    (tmp_path / "ip").write_text(ip)
    (tmp_path / "ip").chmod(0o755)
    (answer,) = ask(shell, path, [command("need ip; ip -j link show || exit; ip -j -4 route show || exit")])
    assert (answer.status, answer.stdout) == (status, said.encode())
