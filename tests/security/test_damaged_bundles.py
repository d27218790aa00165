"""A bundle from elsewhere, damaged line by line: one question less is known, and none is taken for another answer."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from operators_project import CHECKS, Project

from siteproof.asks import Command, Output
from siteproof.errors import BadInput, NotRecorded
from siteproof.evidence.bundle import read_record
from siteproof.evidence.store import Attempt, HostRecord, Store

pytest_plugins = "pytester"

Damage = Callable[[bytes], bytes]


def changed(change: Callable[[dict[str, object]], object]) -> Damage:
    """The line with something else in it, as whoever has no idea of sums would write it."""

    def damage(line: bytes) -> bytes:
        document = json.loads(line)
        document.pop("sum", None)
        found = change(document)
        return json.dumps(document if found is None else found).encode() + b"\n"

    return damage


DAMAGES: dict[str, Damage] = {
    "cut short": lambda line: line[: len(line) // 2] + b"\n",
    "cut off": lambda line: line[: len(line) // 2],
    "only its end": lambda line: line[len(line) // 2 :],
    "empty": lambda line: b"\n",
    "NULs": lambda line: b"\0" * (len(line) - 1) + b"\n",
    "NULs inside": lambda line: line[:60] + b"\0" * 20 + line[80:],
    "no UTF-8": lambda line: line[:-40] + b"\xff" + line[-39:],
    "no newline": lambda line: line[:-1],
    "another key": lambda line: line.replace(b'"key": "', b'"key": "0', 1),
    "key of nothing": lambda line: line[:9] + b"0" * 24 + line[33:],
    "a list": lambda line: b"[]\n",
    "a number": lambda line: b"7\n",
    "deep": lambda line: line[:34] + b"[" * 100_000 + b"\n",
    "no attempts": changed(lambda line: line.pop("attempts", None) and None),
    "attempts of nothing": changed(lambda line: line.update(attempts=[])),
    "attempts that are a number": changed(lambda line: line.update(attempts=3)),
    "an attempt that is a text": changed(lambda line: line.update(attempts=["x"])),
}
WRONG = {
    "status": "0",
    "stdout": 7,
    "stderr": None,
    "at": "yesterday",
    "seconds": "long",
    "error": {"kind": 1},
    "encoding": {"stdout": "base64"},
}
for name, value in WRONG.items():
    DAMAGES[f"a wrong {name}"] = changed(
        lambda line, name=name, value=value: [a.update({name: value}) for a in line["attempts"]] and None  # type: ignore
    )
    if name != "encoding":
        DAMAGES[f"no {name}"] = changed(
            lambda line, name=name: [a.pop(name) for a in line["attempts"]] and None  # type: ignore
        )


def question(script: str, host: str = "one") -> Command:
    return Command(host=host, probe=script, deadline_s=5, probe_class="reads", script=script)


ANSWERS = {question(f"cat {n}"): Output(0, f"{n} €\n".encode() * 5, b"", 1.0, 0.5) for n in range(4)}


def small(directory: Path) -> Path:
    store = Store(directory)
    for asked, answer in ANSWERS.items():
        store.add(asked, Attempt.of(answer))
    return store.file_of("one")


def answers(directory: Path) -> dict[Command, object]:
    store = Store(directory)
    return {asked: store.get(asked) for asked in ANSWERS}


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_line_is_one_unknown_question(tmp_path: Path, damage: Damage, number: int) -> None:
    file = small(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[number] = damage(lines[number])
    file.write_bytes(b"".join(lines))
    found = answers(tmp_path)
    asked = list(ANSWERS)
    assert found[asked[number]] is None or isinstance(found[asked[number]], NotRecorded)
    # A line without its end takes the next one with it: they are one line now.
    next_ = number + 1 if not lines[number].endswith(b"\n") else None
    others = {each: answer for n, each in enumerate(asked) if n not in (number, next_) for answer in [ANSWERS[each]]}
    assert {each: found[each] for each in others} == others


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), mask=st.integers(1, 255), length=st.integers(1, 40))
@example(place=0, mask=1, length=1)
def test_no_flipped_bits_are_another_answer(tmp_path: Path, place: int, mask: int, length: int) -> None:
    directory = tmp_path / f"{place}-{mask}-{length}"
    file = small(directory)
    data = bytearray(file.read_bytes())
    for at in range(place % len(data), min(place % len(data) + length, len(data))):
        data[at] ^= mask
    file.write_bytes(data)
    lost = 0
    for asked, answer in answers(directory).items():
        if answer is None or isinstance(answer, NotRecorded):
            lost += 1
        else:
            assert answer == ANSWERS[asked]
    assert lost <= 2
    shutil.rmtree(directory)


def test_a_bundle_from_before_there_were_sums_is_read(tmp_path: Path) -> None:
    file = small(tmp_path)
    old = [json.loads(line) for line in file.read_text().splitlines()]
    for line in old:
        del line["sum"]
    file.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in old))
    assert answers(tmp_path) == ANSWERS


@pytest.mark.parametrize("kind", ["FIFO", "folder", "loop", "device", "gone"])
def test_what_is_no_file_is_unknown_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    file = small(tmp_path)
    file.unlink()
    match kind:
        case "FIFO":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case "loop":
            file.symlink_to(file)
        case "device":
            file.symlink_to("/dev/zero")
    for answer in answers(tmp_path).values():
        assert answer is None or isinstance(answer, NotRecorded)
    assert Store(tmp_path).evidence(question("cat 0")) is None or kind != "gone"


HOST_DAMAGES = [
    name for name in DAMAGES if not name.startswith(("a wrong", "no ", "attempts", "an attempt", "key", "an"))
]


@pytest.mark.parametrize("damage", HOST_DAMAGES)
def test_a_damaged_line_about_a_host_is_counted(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    one, two = (HostRecord(name, True, None, {"machine_id": name}, 0.1, "root", False) for name in ("one", "two"))
    store.add_host(one)
    store.add_host(two)
    file = tmp_path / "hosts.jsonl"
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + DAMAGES[damage](second))
    assert Store(tmp_path).host_records() == {"one": one}
    assert Store(tmp_path).damaged_host_lines == 1


RECORDS = {
    "no JSON": b"{",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "no UTF-8": b'{"schema": 1, "x": "\xff"}',
    "NULs": b"\0" * 300,
    "empty": b"",
    "nothing in it": b'{"schema": 1}',
    "another schema": b'{"schema": 2}',
}
FIELDS = {
    "started": "yesterday",
    "finished": "2026-09-21T14:13:20",
    "started before the calendar": "0001-01-01T00:00:00+14:00",
    "finished after the calendar": "9999-12-31T23:59:59-14:00",
    "hosts": "one",
    "selected": [1],
    "planned": 3,
    "options": ["gate"],
    "nonce": None,
    "inventory": 4,
}


@pytest.fixture
def lived(project: Project) -> Iterator[Path]:
    project.mtu(1500)
    assert project.run().ret == 1
    yield project.runs[0]


@pytest.mark.parametrize("written", RECORDS.values(), ids=RECORDS.keys())
def test_a_damaged_record_of_a_run_is_refused(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "run.json").write_bytes(written)
    with pytest.raises(BadInput):
        read_record(tmp_path)


@pytest.mark.parametrize("field", FIELDS)
def test_a_record_of_another_shape_is_refused(tmp_path: Path, field: str) -> None:
    good = {
        "schema": 1, "started": "2026-09-21T14:13:20Z", "finished": None, "nonce": "n", "inventory": "i",
        "hosts": ["one"], "selected": ["one"], "options": {"gate": False}, "versions": {}, "planned": [],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(good))
    assert read_record(tmp_path).hosts == ("one",)
    (tmp_path / "run.json").write_text(json.dumps(good | {field.partition(" ")[0]: FIELDS[field]}))
    with pytest.raises(BadInput):
        read_record(tmp_path)


def test_a_time_that_no_report_could_show_is_refused(project: Project, lived: Path) -> None:
    record = lived / "run.json"
    good = json.loads(record.read_text())
    for field, moment in (("started", "0001-01-01T00:00:00+14:00"), ("finished", "9999-12-31T23:59:59-14:00")):
        record.write_text(json.dumps(good | {field: moment}))
        ran = project.run(f"--replay={lived}")
        assert ran.ret == 4, ran.stdout.str() + ran.stderr.str()
        assert "not the record of a run" in ran.stderr.str()


@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_a_replay_does_not_wait_for_a_file_that_it_cannot_read(project: Project, lived: Path, kind: str) -> None:
    file = lived / "evidence/two.jsonl"
    file.unlink()
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(file)
    assert project.run(f"--replay={lived}").ret == 1
    assert project.verdicts()["mtu[one]"] == "violated"
    assert {v for k, v in project.verdicts().items() if "[two]" in k} == {"unknown"}


@pytest.mark.parametrize("field", ["name", "login_user", "machine_id", "message"])
def test_a_host_with_a_text_that_no_file_can_hold_is_a_damaged_line(project: Project, lived: Path, field: str) -> None:
    hosts = lived / "evidence/hosts.jsonl"
    whole = hosts.read_bytes().splitlines(keepends=True)

    def change(line: dict[str, object]) -> None:
        error = {"kind": "Unreachable", "message": "\ud800"}
        told = {"machine_id": {"identity": {"machine_id": "\ud800"}}, "message": {"error": error}}
        line.update(told.get(field, {field: "\ud800"}))

    hosts.write_bytes(b"".join([*whole, changed(change)(whole[-1])]))
    ran = project.run(f"--replay={lived}")
    assert ran.ret == 1, ran.stdout.str()
    assert project.verdicts()["mtu[one]"] == "violated"
    assert any("a line of it cannot be read" in said for said in project.report["remarks"])


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_replay_of_a_damaged_bundle_judges_the_rest(project: Project, lived: Path, workers: str) -> None:
    """Whatever is damaged in the answers of one host, the other keeps its verdicts, and nothing is held by it."""
    file = lived / "evidence/two.jsonl"
    whole = file.read_bytes()
    for name in ("cut short", "NULs", "no UTF-8", "a wrong status", "another key"):
        lines = [DAMAGES[name](line) for line in whole.splitlines(keepends=True)]
        file.write_bytes(b"".join(lines))
        ran = project.run(f"--replay={lived}", workers)
        assert ran.ret == 1, (name, ran.stdout.str())
        verdicts = project.verdicts()
        assert {k: v for k, v in verdicts.items() if "[one]" in k} == {
            "mtu[one]": "violated",
            "mtu-borrowed[one]": "held",
        }
        assert {v for k, v in verdicts.items() if "[two]" in k} == {"unknown"}
    (lived / "evidence/one.jsonl").write_bytes(b"\0" * 100 + b"\n")
    assert project.run(f"--replay={lived}", workers).ret == 6


def test_a_host_that_is_not_known_any_more_is_not_believed(project: Project) -> None:
    """Two hosts with one machine-id are believed by nobody; nor is one whose machine-id can no longer be read."""
    project.hosts["two"] = {}
    assert project.run().ret == 6
    (lived,) = project.runs
    hosts = lived / "evidence/hosts.jsonl"
    whole = hosts.read_bytes().splitlines(keepends=True)
    for damaged in (
        [b"\0" * 50 + b"\n" if b'"name": "two"' in line else line for line in whole],
        [line[:40] + b"\n" for line in whole],
        [],
    ):
        hosts.write_bytes(b"".join(damaged))
        if not damaged:
            hosts.unlink()
        ran = project.run(f"--replay={lived}")
        assert ran.ret == 6, ran.stdout.str()
        assert project.verdicts()["mtu[two]"] == "unknown"


def test_a_line_damaged_while_the_run_lives_is_one_unknown_question(project: Project) -> None:
    project.checks(CHECKS)
    project.pytester.makeconftest(
        'pytest_plugins = ["siteproof.plugin"]\n'
        "from siteproof.evidence import store as evidence\n"
        "append = evidence._append\n"
        "def damaged(path, line):\n"
        "    append(path, line)\n"
        "    if path.name == 'two.jsonl' and line.get('kind') == 'Command':\n"
        "        data = path.read_bytes()\n"
        "        path.write_bytes(data[:-60] + b'\\xff' * 50 + data[-10:])\n"
        "evidence._append = damaged\n"
    )
    ran = project.run()
    assert ran.ret == 6, ran.stdout.str()
    assert project.verdicts()["mtu[one]"] == "held"
    assert project.verdicts()["mtu[two]"] == "unknown"
