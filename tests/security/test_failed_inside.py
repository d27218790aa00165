"""What fails inside leaves with 3, says it in a sentence, and leaves what was judged behind. 1 means violated alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from heeding import heeds_signals
from operators_project import CHECKS, Project

pytest_plugins = "pytester"

WORKERS = pytest.mark.parametrize("workers", ["-n0", "-n2"])
REPORTS = ("report.json", "junit.xml", "report.md", "report.html", "metrics.prom")


def start(project: Project, *options: str, before: str = ":", session: bool = False) -> subprocess.Popen[str]:
    """The run as a shell starts it; `before` are shell commands of the same process."""
    project.write()
    line = [sys.executable, "-m", "pytest", "tests_infra", "--hosts=site", *options]
    return subprocess.Popen(
        ["sh", "-c", f'{before}; exec "$@"', "sh", *line],
        cwd=project.pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=session,
        preexec_fn=heeds_signals,
    )


def conftest(project: Project, source: str) -> None:
    project.pytester.makeconftest(f'import pytest\npytest_plugins = ["siteproof.plugin"]\n{source}')


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="a full file system takes root")


@needs_root
@WORKERS
@pytest.mark.parametrize(("left", "judged"), [(8192, False), (20480, True), (32768, True)])
def test_a_full_disk_is_said_and_what_was_judged_is_told(
    project: Project, left: int, judged: bool, workers: str
) -> None:
    """In a mount namespace of its own, so that nothing is left of it. With 8 KiB not even the evidence can be kept."""
    project.mtu(1500)
    project.write()
    (project.pytester.path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=100k small small && head -c {102400 - left} /dev/zero >small/full"
    line = [sys.executable, "-m", "pytest", "tests_infra", "--hosts=site", "--reports=small", workers]
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount}; "$@"', "sh", *line],
        cwd=project.pytester.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "No space left on device" in ran.stdout
    assert ("VIOLATED" in ran.stdout) == judged
    assert "exit 3" in ran.stdout
    assert list((project.pytester.path / "small").iterdir()) == []


@WORKERS
@pytest.mark.parametrize("name", [*REPORTS, "run.json"])
def test_one_report_that_cannot_be_written_does_not_keep_the_others(project: Project, name: str, workers: str) -> None:
    project.mtu(1500)
    conftest(
        project,
        "from siteproof.machine import writing as files\n"
        "write = files.write\n"
        "def full(path, text):\n"
        f"    if path.name == {name!r} and b'finished\": null' not in str(text).encode():\n"
        "        raise OSError(28, 'No space left on device')\n"
        "    write(path, text)\n"
        "files.write = full\n"
        "from siteproof.evidence import bundle\n"
        "bundle.write = full\n",
    )
    ran = project.run(workers)
    assert ran.ret == 3, ran.stdout.str()
    latest = project.runs[-1]
    assert {n for n in REPORTS if (latest / n).exists()} == set(REPORTS) - {name}
    assert (project.pytester.path / "reports/latest").resolve() == latest
    assert f"{name} could not be written: No space left on device" in ran.stdout.str()
    ran.stdout.fnmatch_lines(["VIOLATED*", "*exit 3*"])
    if name != "report.json":
        assert project.verdicts()["mtu[one]"] == "violated"
        assert project.report["exit_code"] == 3


BUGS = {
    "a report": "from siteproof import report\nreport.REPORTS['report.html'] = None\n",
    "the terminal's report": "from siteproof.report import terminal\nterminal.lines = None\n",
    "the results": "from siteproof.judging import run\nrun._hosts = None\n",
    "the end": "from siteproof.plugin import ending\nending.finish_ = ending.finish\n"
    "def once(*given):\n    ending.finish = ending.finish_\n    raise KeyError('x')\nending.finish = once\n",
    "when it began": "from datetime import datetime, timedelta, timezone\nfrom siteproof.plugin.stash import SUITE\n"
    "def pytest_collection_finish(session):\n"
    "    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))\n"
    "    object.__setattr__(session.config.stash[SUITE], 'started', first)\n",
    "a plugin's end": "def pytest_sessionfinish(session):\n    raise OSError(28, 'No space left on device')\n",
    "a plugin's end, first": "@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish():\n    raise KeyError('x')\n",
    "a plugin's end, around": "@pytest.hookimpl(wrapper=True)\ndef pytest_sessionfinish():\n"
    "    yield\n    raise KeyError('x')\n",
    "a plugin's summary": "def pytest_terminal_summary():\n    raise KeyError('x')\n",
    "after the end": "def pytest_unconfigure():\n    raise KeyError('x')\n",
    "a clean-up": "def fail():\n    raise KeyError('x')\ndef pytest_configure(config):\n    config.add_cleanup(fail)\n",
    "the end of the connections": "from siteproof.gather import LocalGatherer, RemoteGatherer\n"
    "def close(self):\n    raise OSError(5, 'broken')\nLocalGatherer.close = close\n",
    "asking": "from siteproof.gather import LocalGatherer, RemoteGatherer\n"
    "def ask(*given):\n    raise KeyError('x')\nLocalGatherer.ask = RemoteGatherer.ask = ask\n",
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
def test_a_bug_of_ours_or_of_a_plugin_is_3(project: Project, bug: str) -> None:
    project.mtu(1500)
    conftest(project, bug)
    ran = project.run()
    assert ran.ret == 3, ran.stdout.str() + ran.stderr.str()
    if "ask" not in bug:
        assert project.verdicts()["mtu[one]"] == "violated"
        assert project.verdicts()["mtu-borrowed[one]"] == "held"
    assert project.report["exit_code"] == 3
    assert (project.pytester.path / "reports/latest").exists()


@pytest.mark.parametrize("bug", ["report.without_secrets = None", "ending.finish = None"])
def test_where_nothing_can_be_written_at_all_it_is_3(project: Project, bug: str) -> None:
    project.mtu(1500)
    conftest(project, f"from siteproof import report\nfrom siteproof.plugin import ending\n{bug}\n")
    ran = project.run()
    assert ran.ret == 3, ran.stdout.str() + ran.stderr.str()
    assert "at the end of the run: TypeError" in ran.stderr.str()
    assert "Traceback" not in ran.stdout.str() + ran.stderr.str()


@WORKERS
def test_a_bug_over_one_result_is_that_result_s(project: Project, workers: str) -> None:
    project.mtu(1500)
    conftest(
        project,
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_makereport(item, call):\n"
        "    found = yield\n"
        "    if 'lends' in item.nodeid and 'one' in item.nodeid: raise KeyError('x')\n"
        "    return found\n",
    )
    assert project.run(workers).ret == 1
    verdicts = project.verdicts()
    assert verdicts["mtu[one]"] == verdicts["mtu[two]"] == "violated"
    assert verdicts["mtu-borrowed[two]"] == "held"


@WORKERS
def test_a_failure_that_no_verdict_explains_is_not_violated(project: Project, workers: str) -> None:
    conftest(
        project,
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_makereport(call):\n"
        "    found = yield\n"
        "    if call.when == 'teardown': found.outcome = 'failed'\n"
        "    return found\n",
    )
    assert project.run(workers).ret == 3


@WORKERS
def test_checks_that_cannot_be_read_are_named_and_nothing_is_violated(project: Project, workers: str) -> None:
    (project.pytester.path / "tests_infra").mkdir(exist_ok=True)
    (project.pytester.path / "tests_infra/test_broken.py").write_text("import no_such_module\n")
    ran = project.run(workers)
    assert ran.ret in (2, 7)
    ran.stdout.fnmatch_lines(["*test_broken.py could not be read*"])
    ran = project.run(workers, "--continue-on-collection-errors")
    assert ran.ret == 7
    assert project.verdicts()["mtu[one]"] == "held"
    ran.stdout.fnmatch_lines(["*test_broken.py could not be read*"])


@WORKERS
def test_whoever_reads_the_output_may_go(project: Project, workers: str) -> None:
    project.mtu(1500)
    with start(project, workers, before="export PYTHONUNBUFFERED=1") as process, ExitStack() as stack:
        assert process.stdout is not None
        stack.callback(process.kill)
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(120) == 3
    if (project.runs[-1] / "report.json").exists():  # unless it had not even begun
        assert project.report["exit_code"] == 3
        assert project.report["summary"]["planned"] in (0, 4)


@WORKERS
def test_nowhere_to_print_is_3(project: Project, workers: str) -> None:
    project.mtu(1500)
    process = start(project, workers, before="exec >/dev/full")
    process.communicate(timeout=120)
    assert process.returncode == 3


def children(pid: int) -> list[int]:
    """All processes below one."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split("\n")
    below: dict[int, list[int]] = {}
    for line in filter(None, found):
        own, parent = map(int, line.split())
        below.setdefault(parent, []).append(own)
    todo, every = [pid], []
    while todo:
        new = below.get(todo.pop(), [])
        every += new
        todo += new
    return every


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


@WORKERS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("when", ["judging", "asking"])
def test_an_interrupted_run_leaves_what_it_judged_and_no_process(
    project: Project, number: signal.Signals, when: str, workers: str
) -> None:
    project.mtu(1500)
    stopped = project.pytester.path / "there"
    if when == "judging":
        wait = f"open({str(stopped)!r}, 'w').close(); __import__('time').sleep(60)"
        source = CHECKS.replace("    assert await mtu(node.host) > 0", "    await mtu(node.host)")
        conftest(
            project,
            f"def pytest_runtest_setup(item):\n    if 'lends' in item.nodeid and 'two' in item.nodeid: {wait}\n",
        )
    else:
        source = CHECKS.replace('"cat ', f'"touch {stopped}; sleep 60; cat ').replace(
            "parse=lambda", "deadline_s=90, parse=lambda"
        )
    project.checks(source)
    process = start(project, workers, session=True)
    try:
        assert until(stopped.exists)
        time.sleep(1)
        below = children(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 2, out + err
        assert until(lambda: all(map(gone, below)))
    finally:
        process.kill()
    report = json.loads((project.runs[-1] / "report.json").read_text())
    assert report["exit_code"] == 2
    if when == "judging":
        assert project.verdicts()["mtu[one]"] == "violated"
        assert "VIOLATED" in out
    assert re.search(r"interrupted", out)
    assert "SHORTFALL" in out or workers == "-n2"
