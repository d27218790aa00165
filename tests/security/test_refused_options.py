"""What means nothing is refused in one sentence with exit code 4, and nothing is made, written or connected to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from operators_project import Project

pytest_plugins = "pytester"


@dataclass(frozen=True)
class Row:
    """What is typed, what stands there before, and a word of the sentence."""

    options: tuple[str, ...]
    says: str
    before: Callable[[Path], object] = lambda folder: None
    root_may: bool = False
    """Not refused to root, who may write anywhere."""


def fifo(name: str) -> Callable[[Path], object]:
    return lambda folder: os.mkfifo(folder / name)


def file(name: str, text: str = "x") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def loop(folder: Path) -> None:
    (folder / "loop").symlink_to(folder / "loop")


def bundle_without_end(folder: Path) -> None:
    (folder / "b").mkdir()
    os.mkfifo(folder / "b/run.json")


def closed(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)


def proof(text: str) -> Callable[[Path], object]:
    return file("proof.json", text)


OUT = ("sudoers", "register")
ROWS = {
    "fanout 0": Row(("--fanout=0",), "--fanout=0"),
    "fanout negative": Row(("--fanout=-3",), "--fanout=-3"),
    "fanout text": Row(("--fanout=many",), "--fanout=many"),
    "fanout no number": Row(("--fanout=٣",), "--fanout"),
    "fanout huge": Row(("--fanout=99999999999",), "--fanout"),
    "fanout empty": Row(("--fanout=",), "--fanout="),
    "limit empty": Row(("--limit=",), "--limit"),
    "limit blank": Row(("--limit= ",), "--limit"),
    "limit nobody": Row(("--limit=nobody",), "nobody"),
    "shard empty": Row(("--shard=",), "--shard"),
    "shard text": Row(("--shard=one",), "--shard=one"),
    "shard 0": Row(("--shard=0/2",), "--shard=0/2"),
    "shard 3 of 2": Row(("--shard=3/2",), "--shard=3/2"),
    "shard of 0": Row(("--shard=1/0",), "--shard=1/0"),
    "shard beyond the hosts": Row(("--shard=3/3",), "--shard=3/3"),
    "no vault password file": Row(("--vault-password-file=missing",), "missing"),
    "vault password file empty": Row(("--vault-password-file=",), "--vault-password-file"),
    "reports a file": Row(("--reports=it",), "--reports", file("it")),
    "reports below a file": Row(("--reports=it/a/b",), "--reports", file("it")),
    "reports a FIFO": Row(("--reports=it",), "--reports", fifo("it")),
    "reports a loop": Row(("--reports=loop/a",), "--reports", loop),
    "reports a loop itself": Row(("--reports=loop",), "--reports", loop),
    "reports empty": Row(("--reports=",), "--reports"),
    "reports may not be written": Row(("--reports=closed/r",), "--reports", closed, root_may=True),
    "replay nothing": Row(("--replay=missing",), "missing"),
    "replay a file": Row(("--replay=it",), "--replay", file("it")),
    "replay a FIFO": Row(("--replay=it",), "--replay", fifo("it")),
    "replay a bundle that is a FIFO": Row(("--replay=b",), "--replay", bundle_without_end),
    "replay a loop": Row(("--replay=loop",), "--replay", loop),
    "replay empty": Row(("--replay=",), "--replay"),
    **{
        f"{option} {what}": Row((f"--{option}={where}",), f"--{option}", before, root_may)
        for option in OUT
        for what, where, before, root_may in (
            ("a folder", "it", lambda folder: (folder / "it").mkdir(), False),
            ("a FIFO", "it", fifo("it"), False),
            ("a loop", "loop", loop, False),
            ("in no folder", "missing/it", lambda folder: None, False),
            ("below a file", "it/it", file("it"), False),
            ("empty", "", lambda folder: None, False),
            ("not writable", "closed/it", closed, True),
        )
    },
    "proof alone": Row(("--proof=proof.json",), "--register", proof('{"faults": []}')),
    **{
        f"proof {what}": Row(("--register=out.json", "--proof=proof.json"), "--proof", before)
        for what, before in (
            ("missing", lambda folder: None),
            ("no JSON", proof("{")),
            ("a list", proof("[]")),
            ("without faults", proof("{}")),
            ("of another kind", proof('{"faults": [{"id": 1}]}')),
            ("a number", proof('{"faults": 3}')),
            ("no UTF-8", lambda folder: (folder / "proof.json").write_bytes(b'{"faults": "\xff"}')),
            ("deep", proof("[" * 100_000)),
            ("a FIFO", fifo("proof.json")),
            ("a folder", lambda folder: (folder / "proof.json").mkdir()),
        )
    },
    **{
        f"without the {name}": Row(("-p", f"no:{name}"), f"-p no:{name}")
        for name in ("siteproof-guard", "siteproof-guard-of-reports", "siteproof-ending", "siteproof-results")
    },
    "access of a replay": Row(("--check-access", "--replay=b"), "--check-access"),
    "access and a plan": Row(("--check-access", "--plan"), "--check-access"),
    "access and collect only": Row(("--check-access", "--collect-only"), "--check-access"),
    "a plan of a replay": Row(("--plan", "--replay=b"), "--plan"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_it_is_one_sentence_and_exit_code_4(project: Project, row: Row) -> None:
    if row.root_may and os.getuid() == 0:
        pytest.skip("root may write anywhere")
    folder = project.pytester.path
    project.write()
    row.before(folder)
    before, logins = _below(folder), project.sshd.logins()
    ran = project.run("-n2", *row.options)
    assert ran.ret == 4, ran.stdout.str() + ran.stderr.str()
    (said,) = [line for line in ran.stderr.lines if line.startswith("ERROR: ")]
    assert row.says in said
    assert "Traceback" not in ran.stdout.str() + ran.stderr.str()
    assert _below(folder) == before
    assert project.sshd.logins() == logins


def _below(folder: Path) -> list[Path]:
    """Without what pytester and Python put there."""
    beside = {"__pycache__", "stdout", "stderr"}
    paths = (path for path in folder.rglob("*") if not beside & set(path.parts))
    return sorted(path for path in paths if not path.relative_to(folder).parts[0].startswith("runpytest"))


OPTIMIZED = {
    "-O": (("-O",), {}),
    "-OO": (("-OO",), {}),
    "PYTHONOPTIMIZE": ((), {"PYTHONOPTIMIZE": "1"}),
}


@pytest.mark.parametrize("more", [(), ("--assert=plain",), ("-n2",)], ids=["alone", "plain", "-n2"])
@pytest.mark.parametrize(("flags", "environment"), OPTIMIZED.values(), ids=OPTIMIZED.keys())
def test_a_python_without_asserts_is_refused(
    project: Project, flags: tuple[str, ...], environment: dict[str, str], more: tuple[str, ...]
) -> None:
    project.mtu(1500)
    project.write()
    ran = subprocess.run(
        [sys.executable, *flags, "-m", "pytest", "tests_infra", "--hosts=site", *more],
        cwd=project.pytester.path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert "without any assert" in ran.stderr
    assert not (project.pytester.path / "reports").exists()


@pytest.mark.parametrize("spec", ["popen//python={python} -O", "2*popen//python={python} -OO"])
def test_a_worker_without_asserts_is_refused(project: Project, spec: str) -> None:
    project.mtu(1500)
    ran = project.run("--dist=load", f"--tx={spec.format(python=sys.executable)}", "--assert=plain")
    assert ran.ret == 4, ran.stdout.str() + ran.stderr.str()
    assert "without any assert" in ran.stderr.str()
    assert list((project.pytester.path / "reports").iterdir()) == []


def test_optimized_python_may_do_what_judges_nothing(project: Project) -> None:
    project.write()
    line = [sys.executable, "-O", "-m", "pytest", "--collect-only", "-q", "tests_infra"]
    assert subprocess.run(line, cwd=project.pytester.path, capture_output=True, check=False).returncode == 0
