"""What is read back is what was written, and no secret is."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siteproof.asks import Command, Output, Question
from siteproof.errors import HostKeyUnknown, ProbeError, TimedOut
from siteproof.evidence.store import Attempt, HostRecord, Store
from siteproof.text.redaction import REDACTED, Redactor


def question(host: str = "cp1", script: str = "true") -> Command:
    return Command(host=host, probe="true", deadline_s=5, probe_class="reads", script=script)


def output(stdout: bytes, stderr: bytes = b"", status: int = 0) -> Output:
    return Output(status, stdout, stderr, 1_790_000_000.25, 0.125)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence")


@pytest.mark.parametrize(
    "stdout",
    [b"", b"no newline", b"line\n", "ångström\n".encode(), b"\xff\xfe\x00", b"a\r\nb\r", "\u2028".encode(), b"\0"],
)
def test_streams_come_back_byte_for_byte(store: Store, stdout: bytes) -> None:
    store.add(question(), Attempt.of(output(stdout, stdout[::-1], 3)))
    assert store.get(question()) == output(stdout, stdout[::-1], 3)


def test_errors_come_back_as_what_they_were(store: Store) -> None:
    store.add(question(), Attempt(1.0, 7.0, TimedOut("getent on cp1: not finished within 5 s")))
    error = store.get(question())
    assert isinstance(error, TimedOut)
    assert (error.message, error.host) == ("getent on cp1: not finished within 5 s", "cp1")


def test_only_what_was_asked_is_there(store: Store) -> None:
    store.add(question(), Attempt.of(output(b"")))
    assert question() in store
    assert question(script="false") not in store
    assert store.get(question("worker1")) is None


def test_every_attempt_is_kept_and_the_last_one_stands(store: Store) -> None:
    store.add(question(), Attempt(1.0, 7.0, TimedOut("too late")))
    store.add(question(), Attempt.of(output(b"on the second try")))
    evidence = store.evidence(question())
    assert evidence is not None
    assert [type(attempt.answer) for attempt in evidence.attempts] == [TimedOut, Output]
    assert evidence.last == store.get(question()) == output(b"on the second try")


def test_another_process_sees_what_was_written_after_it_looked(store: Store) -> None:
    other = Store(store.directory)
    assert other.get(question()) is None
    store.add(question(), Attempt.of(output(b"now")))
    assert other.get(question()) == output(b"now")


def test_a_line_that_is_still_being_written_is_not_read(store: Store) -> None:
    store.add(question(), Attempt.of(output(b"whole")))
    with store.file_of("cp1").open("ab") as file:
        file.write(b'{"key": "' + question(script="false").key.encode() + b'", "kind"')
    assert store.get(question(script="false")) is None
    assert store.get(question()) == output(b"whole")


def test_a_line_says_what_was_asked_in_words(store: Store) -> None:
    store.add(question(), Attempt.of(output(b"ok\n", b"\xff")))
    (line,) = [json.loads(line) for line in store.file_of("cp1").read_text().splitlines()]
    assert line["key"] == question().key
    assert (line["kind"], line["question"]["script"]) == ("Command", "true")
    assert line["attempts"] == [
        {
            "at": "2026-09-21T14:13:20.250Z",
            "seconds": 0.125,
            "status": 0,
            "stdout": "ok\n",
            "stderr": "/w==",
            "encoding": {"stderr": "base64"},
            "error": None,
        }
    ]


def test_nobody_else_can_read_it(store: Store) -> None:
    store.add(question(), Attempt.of(output(b"")))
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.file_of("cp1").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["../escape", "hosts", "a/b", ".", "knöt", "x" * 60])
def test_any_host_name_has_a_file_of_its_own_in_the_directory(store: Store, name: str) -> None:
    store.add_host(HostRecord(name, True, None, {}, 0.1, "root", False))
    store.add(question(name), Attempt.of(output(b"here")))
    assert store.get(question(name)) == output(b"here")
    assert {path.parent for path in store.directory.rglob("*")} == {store.directory}
    assert set(store.host_records()) == {name}


def test_the_last_record_of_a_host_stands(store: Store) -> None:
    error = HostKeyUnknown("its key is unknown", host="cp1")
    store.add_host(HostRecord("cp1", False, error, {}, 0.1, "root", False))
    found = store.host_records()["cp1"].error
    assert isinstance(found, HostKeyUnknown)
    reached = HostRecord("cp1", True, None, {"hostname": "cp1", "machine_id": "abc"}, 0.2, "root", False)
    store.add_host(reached)
    assert store.host_records() == {"cp1": reached}
    assert store.hosts == ["cp1"]


SECRET = 'h"unter 2!'


@pytest.mark.parametrize(
    "written",
    [
        SECRET.encode(),
        json.dumps({"password": SECRET}).encode(),
        b"https://user:h%22unter%202%21@registry",
        b"\xff" + SECRET.encode(),
        *(base64.b64encode(b"x" * n + SECRET.encode() + b":rest") for n in range(4)),
    ],
)
def test_no_spelling_of_a_secret_is_written(tmp_path: Path, written: bytes) -> None:
    store = Store(tmp_path / "evidence", secrets=[SECRET])
    store.add(question(script=f"curl -u '{SECRET}'"), Attempt.of(output(b"<" + written + b">", written)))
    store.add(question("worker1"), Attempt(1.0, 1.0, ProbeError(f"sudo: {SECRET}")))
    store.add_host(HostRecord("cp1", False, ProbeError(SECRET), {"hostname": SECRET}, 0.1, "root", False))
    answer = store.get(question(script=f"curl -u '{SECRET}'"))
    assert isinstance(answer, Output)
    assert REDACTED in answer.text
    assert written not in answer.stdout + answer.stderr
    for file in store.directory.iterdir():
        assert written not in file.read_bytes()
        assert SECRET not in file.read_text()


@pytest.mark.parametrize("secret", ["", "abc"])
def test_what_is_too_short_to_be_a_secret_stays(secret: str) -> None:
    assert Redactor([secret])(b"abc abc") == b"abc abc"


@given(st.text(min_size=4).filter(lambda text: text.isprintable()), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_of_a_secret_is_found_wherever_it_starts(secret: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + after)
    redacted = Redactor([secret])(encoded)
    assert REDACTED.encode() in redacted


def test_questions_of_every_kind_can_be_kept(store: Store) -> None:
    plain = Question("cp1", "a plain one", 1.0, "reads")
    store.add(plain, Attempt.of(output(b"yes")))
    assert store.get(plain) == output(b"yes")
