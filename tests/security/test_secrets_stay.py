"""No secret of the inventory is in anything that a run leaves or prints, however it was spelled."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from operators_project import Project
from vaulted import FOREIGN, NAMES, SHORT, WORD, encrypted, leaks, vaulted

from siteproof.plugin.guard import _Guarded
from siteproof.text.redaction import Redactor

pytest_plugins = "pytester"

CACHE = "--override-ini=addopts=-p no:hypothesispytest"


@pytest.fixture
def password(project: Project) -> Path:
    return vaulted(project)


def printed(ran: pytest.RunResult) -> bytes:
    return f"{ran.stdout}\n{ran.stderr}".encode("utf-8", "surrogateescape")


def left(project: Project) -> dict[str, bytes]:
    """All files but the operator's own."""
    root = project.pytester.path
    own = ("inventories", "tests_infra", "vault-password", "conftest.py", "tox.ini")
    found = [p for p in root.rglob("*") if p.is_file() and p.relative_to(root).parts[0] not in own]
    return {str(p.relative_to(root)): p.read_bytes() for p in found}


@pytest.mark.parametrize(
    "options",
    [
        ("-n0", "-vv", "-rA", "--tb=long", "--durations=0", "--showlocals"),
        ("-n2", "-v", "-rA", "--tb=short"),
    ],
    ids=["-n0", "-n2"],
)
def test_none_is_in_what_a_run_prints_and_leaves(
    project: Project, password: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    summary = project.pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ran = project.run(CACHE, f"--vault-password-file={password}", "--junitxml=junit/pytest.xml", *options)
    assert ran.ret == 1
    found = left(project)
    run = str(project.runs[-1].relative_to(project.pytester.path))
    written = {"report.json", "junit.xml", "report.md", "report.html", "metrics.prom", "run.json"}
    written |= {"evidence/hosts.jsonl", "evidence/one.jsonl", "evidence/two.jsonl"}
    expected = {f"{run}/{name}" for name in written} | {
        "summary.md",
        "junit/pytest.xml",
        ".pytest_cache/v/cache/lastfailed",
    }
    assert expected <= found.keys()
    assert {name: leaks(data) for name, data in found.items() if leaks(data)} == {}
    assert leaks(printed(ran)) == []
    without = {f"{run}/run.json", f"{run}/evidence/hosts.jsonl"}
    if "-n2" in options:
        without.add(".pytest_cache/v/cache/nodeids")  # only a process that collects fills it
    for name in expected - without:
        assert b"redacted" in found[name], name
    verdicts = project.verdicts()
    # One is found as a violation, one breaks, and so on: nothing is lost for being redacted.
    assert (verdicts["said[one]"], verdicts["held[one]"], verdicts["waived[two]"]) == ("violated", "held", "waived")
    assert verdicts["broken[one]"] == "unknown"
    subjects = [name for name in verdicts if name.startswith("subject[")]
    assert len(subjects) == 2
    assert all("redacted" in name for name in subjects)
    assert (project.runs[-1] / "report.json").read_text().count(SHORT) <= 1
    said = "siteproof does not hide vault_short: a secret shorter than 4 characters would take ordinary text with it"
    assert project.report["remarks"].count(said) == 1


@pytest.mark.parametrize(
    "options",
    [
        ("-q",),
        ("--tb=line", "-s"),
        ("--tb=native", "-rA"),
        ("--plan",),
        ("--collect-only",),
        ("--collect-only", "-q"),
        ("--check-access",),
        ("--setup-show", "-k", "subject or prints"),
        ("-n2", "-q", "--tb=long", "-rA"),
        ("--log-cli-level=DEBUG", "-k", "says"),
    ],
    ids=" ".join,
)
def test_none_is_printed(project: Project, password: Path, options: tuple[str, ...]) -> None:
    ran = project.run(f"--vault-password-file={password}", *options)
    assert ran.ret in (0, 1, 6)
    assert leaks(printed(ran)) == []
    assert len(printed(ran)) > 100


def test_a_replay_by_another_inventory_hides_what_is_secret_today(project: Project, password: Path) -> None:
    assert project.run(f"--vault-password-file={password}").ret == 1
    for file in (project.runs[0] / "evidence").glob("o*.jsonl"):
        file.write_text(file.read_text().replace("«redacted»", WORD))  # written when it was no secret yet
    ran = project.run(f"--vault-password-file={password}", f"--replay={project.runs[0]}", "-vv")
    assert leaks(printed(ran)) == []
    assert {
        p.name: leaks(p.read_bytes()) for p in project.runs[1].rglob("*") if p.is_file() and leaks(p.read_bytes())
    } == {}


def test_a_refusal_does_not_quote_one(project: Project, password: Path) -> None:
    main = project.pytester.path / "inventories/site/group_vars/all/main.yml"
    before = main.read_text()
    for wrong in (
        "siteproof_link: {mtu: '{{ vault_word }}'}\n",
        "siteproof_unknown: '{{ vault_word | int_ }}'\n",
        "ansible_port: '{{ vault_word }}'\n",
        "siteproof_hostname: '{{ vault_word[0].nothing.{x}'\n".replace("{x}", WORD),
    ):
        name = wrong.partition(":")[0]
        kept = "".join(line for line in before.splitlines(True) if not line.startswith(f"{name}:"))
        main.write_text(kept.replace("  mtu: 1400\n", "", 1) + wrong if name == "siteproof_link" else kept + wrong)
        ran = project.run(f"--vault-password-file={password}")
        assert ran.ret == 4, wrong
        assert leaks(printed(ran)) == [], wrong


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (f"-o {WORD}", "must be ssh options as NAME=VALUE, not what is vaulted there"),
        (f"{WORD} -o x=y", "must be ssh options, not what is vaulted there"),
    ],
)
def test_a_refusal_does_not_quote_a_part_of_one(project: Project, password: Path, written: str, says: str) -> None:
    main = project.pytester.path / "inventories/site/group_vars/all/main.yml"
    kept = [line for line in main.read_text().splitlines(True) if not line.startswith("ansible_ssh_common_args:")]
    text = encrypted(written, password).replace("!vault", "ansible_ssh_common_args: !vault", 1)
    main.write_text("".join(line for line in kept if not line.startswith("  UserKnown")) + text)
    ran = project.run(f"--vault-password-file={password}", "--plan")
    assert ran.ret == 4
    assert leaks(printed(ran)) == []
    ran.stderr.fnmatch_lines([f"*ansible_ssh_common_args {says}"])


@pytest.mark.parametrize("option", ["--capture=tee-sys", "--log-file=log", "--debug=debug", "--pastebin=all"])
def test_what_writes_past_all_that_redacts_is_refused(
    project: Project, password: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing is pasted anywhere, whatever becomes of this
    ran = project.run(f"--vault-password-file={password}", "--override-ini=log_level=DEBUG", option)
    assert ran.ret == 4
    name = option if "tee" in option else option.partition("=")[0]
    ran.stderr.fnmatch_lines([f"ERROR: {name}: the inventory has secrets, which it would show: run it without"])
    assert not (project.pytester.path / "reports").exists()
    assert {name: leaks(data) for name, data in left(project).items() if leaks(data)} == {}


@pytest.mark.parametrize("name", ["PYTEST_DEBUG", "EXECNET_DEBUG"])
def test_what_is_traced_by_the_environment_is_refused(
    project: Project, password: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    ran = project.run(f"--vault-password-file={password}")
    assert ran.ret == 4
    ran.stderr.fnmatch_lines([f"ERROR: {name}: the inventory has secrets, which it would show: run it without"])
    assert leaks(printed(ran)) == []


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_what_fails_after_the_end_does_not_say_one(project: Project, password: Path, workers: str) -> None:
    project.pytester.makeconftest(
        'pytest_plugins = ["siteproof.plugin"]\n'
        f'def pytest_unconfigure():\n    raise RuntimeError("said {WORD} \\x1b]0;owned\\x07")\n'
    )
    ran = project.run(f"--vault-password-file={password}", workers)
    assert ran.ret == 3
    assert leaks(printed(ran)) == []
    assert b"\x1b]" not in printed(ran)
    assert "after the end of the run: RuntimeError: said «redacted»" in ran.stderr.str()


def test_hosts_that_are_called_by_one_are_not_lost(project: Project) -> None:
    project.hosts = {"prod1-web": {}, "prod2-web": {"siteproof_alias_of": "prod1-web"}}
    project.variables["ansible_become_password"] = "prod1"
    for _ in range(2):
        ran = project.run()
        assert ran.ret == 0, ran.stdout.str()
    del project.hosts["prod2-web"]
    assert project.run().ret == 7
    assert project.report["shortfalls"] == [
        "the run before this one looked at prod2-web, which the inventory has no more (said this once)"
    ]
    project.hosts = {"prod2-web": {}, "other": {"siteproof_alias_of": "prod2-web"}}
    assert project.run().ret == 7
    assert "«redacted»-web, which the inventory has no more" in project.report["shortfalls"][0]


def test_a_junit_file_of_pytest_has_none_past_the_reports(project: Project, password: Path) -> None:
    project.checks(
        f"""
def test_a(host, record_testsuite_property, record_xml_attribute, record_property):
    record_testsuite_property("found {WORD}", "{WORD}")
    record_xml_attribute("found", "{WORD}")
    record_property("found", "{WORD}")
"""
    )
    for options in (("-n0",), ("-n2",)):
        ran = project.run(f"--vault-password-file={password}", "--junitxml=pytest.xml", *options)
        assert ran.ret == 7  # no invariant looks at the hosts
        written = (project.pytester.path / "pytest.xml").read_bytes()
        assert leaks(written) == []
        assert b'tests="2"' in written and b"redacted" in written


def test_sudoers_are_not_written_with_one(project: Project, password: Path) -> None:
    checks = '''
from siteproof.asks import command
from siteproof.facts import Node
from siteproof.facts.path import Transfer
from siteproof.invariants import invariant

@invariant("subject", family="path", severity="high", incident="", remedy="")
async def test_a_transfer_is_one(node: Node, transfer: Transfer) -> None:
    """A transfer is one."""
    await command(node.host, f"$ROOT /bin/cat /{transfer.name}", root=True, tools=("cat",), probe="cat", parse=str)
'''
    project.checks(checks)
    main = project.pytester.path / "inventories/site/group_vars/all/main.yml"
    said = main.read_text().replace("ansible_user: root", "ansible_user: nobody")
    main.write_text("".join(line for line in said.splitlines(True) if "become_password" not in line))
    ran = project.run(f"--vault-password-file={password}", "--sudoers=fragment")
    assert leaks(printed(ran)) == []
    assert ran.ret == 4
    assert not (project.pytester.path / "fragment").exists()


def test_what_a_host_is_called_is_shown_and_said(project: Project, password: Path) -> None:
    file = project.pytester.path / "inventories/site/group_vars/all/main.yml"
    file.write_text(f"{file.read_text()}vault_of_a_host: {encrypted('two', password)}")
    assert project.run(f"--vault-password-file={password}").ret == 1
    assert {host["name"] for host in project.report["hosts"]} == {"one", "two"}


def test_subjects_that_differ_only_in_a_secret_stay_apart(project: Project, password: Path) -> None:
    for options in (("-n0",), ("-n2",)):
        project.run(f"--vault-password-file={password}", *options)
    first, second = (json.loads((run / "report.json").read_text()) for run in project.runs)
    names = [sorted(r["nodeid"] for r in report["results"] if r["id"] == "subject") for report in (first, second)]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(NAMES)


def test_what_is_kept_without_a_secret_decides_nothing(project: Project) -> None:
    """Two secrets have one mark, and none of them is what a fact says: neither held nor violated would be true."""
    vaulted(project)
    for name, text in (("a", WORD), ("b", FOREIGN), ("c", "nothing secret")):
        (project.directory / name).write_text(text, encoding="utf-8")
    project.checks(COMPARES)
    project.run("--vault-password-file=vault-password")
    verdicts = project.verdicts()
    assert {name: verdicts[f"{name}[one]"] for name in ("same", "other", "is", "plain")} == {
        "same": "unknown", "other": "unknown", "is": "unknown", "plain": "held",
    }  # fmt: skip
    messages = {r["message"] for r in project.report["results"] if r["verdict"] == "unknown"}
    assert messages and all("a secret of the inventory stood in the answer" in message for message in messages)
    assert project.report["exit_code"] in (6, 7)


COMPARES = '''
from siteproof.asks import command
from siteproof.facts import Node
from siteproof.facts.path import Link
from siteproof.invariants import invariant

ABOUT = dict(family="link", severity="high", incident="", remedy="")

def read(host, what):
    return command(host, f"cat {directory}/{what}", probe=f"read {what}", tools=("cat",), parse=lambda o: o.text)

@invariant("same", **ABOUT)
async def test_same(node: Node, link: Link) -> None:
    """Two files are the same, which they are not."""
    a = await read(node.host, "a")
    assert a == await read(node.host, "b")

@invariant("other", **ABOUT)
async def test_other(node: Node, link: Link) -> None:
    """A word is not in a file, where it is."""
    assert "hunter2" not in await read(node.host, "a")

@invariant("is", **ABOUT)
async def test_is(node: Node, link: Link) -> None:
    """A word is in a file, and it is."""
    assert "hunter2" in await read(node.host, "a")

@invariant("plain", **ABOUT)
async def test_plain(node: Node, link: Link) -> None:
    """Where no secret stood all is told."""
    assert await read(node.host, "c") == "nothing secret"
'''


@pytest.mark.parametrize(("token", "start"), [("", r"\x0d"), ("T", "\r")], ids=["-s", "terminal"])
def test_only_lines_of_pytest_s_own_progress_begin_anew(token: str, start: str) -> None:
    file = io.StringIO()
    _Guarded(file, Redactor([WORD]), token).write(f"\rall 9 held {WORD}\r")
    assert file.getvalue() == rf"{start}all 9 held «redacted»\x0d"
