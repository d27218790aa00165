"""One result, one host and one worker never take another with them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from many_hosts import CHECKS, NAMES, say, spread
from operators_project import CHECKS as OPERATORS
from operators_project import Project
from vaulted import encrypted

pytest_plugins = "pytester"

REPORTS = {"report.json", "report.html", "report.md", "junit.xml", "metrics.prom", "run.json"}
WORKERS = pytest.mark.parametrize("workers", ["-n0", "-n2"])


@pytest.fixture
def site(project: Project) -> Iterator[Project]:
    spread(project)
    yield project


def counted(project: Project) -> Counter[str]:
    return Counter(project.verdicts().values())


def whole(project: Project) -> None:
    """All reports are there, and nothing is left of the processes that made them."""
    assert {path.name for path in project.runs[-1].iterdir()} == REPORTS | {"evidence"}
    assert (project.pytester.path / "reports/latest").resolve() == project.runs[-1]


MAD = {
    "no UTF-8": b"\xff\n",
    "half a character": b"\xe2\x82",
    "UTF-16": "wrong\n".encode("utf-16"),
    "NULs": b"\0" * 5000,
    "all bytes": bytes(range(256)) * 20,
    "escape sequences": b"\x1b]0;owned\x07\x1b[2J\x1b[31m",
    "one line of 3 MB": b"x" * 3_000_000,
    "200 000 lines": b"wrong\n" * 200_000,
    "more than the cap": b"y" * 5_000_000,
    "nothing": b"",
}


@pytest.mark.parametrize(
    ("answer", "workers"),
    [*((answer, "-n2") for answer in MAD.values()), (MAD["no UTF-8"], "-n0"), (MAD["all bytes"], "-n0")],
    ids=[*MAD, "no UTF-8, alone", "all bytes, alone"],
)
def test_a_host_that_goes_mad_has_its_own_verdict_and_no_other(site: Project, answer: bytes, workers: str) -> None:
    say(site, "h05", answer)
    ran = site.run(workers)
    assert ran.ret == 1, ran.stdout.str()[-3000:] + ran.stderr.str()[-3000:]
    verdicts = site.verdicts()
    assert verdicts.pop("said[h05]") == ("unknown" if len(answer) > 4_000_000 else "violated")
    assert set(verdicts.values()) == {"violated"}
    assert len(verdicts) == 11
    whole(site)


BESIDE = {
    "a property of any class": "request.node.user_properties.append(('p', object()))",
    "a property that is no text": "request.node.user_properties.append(('p', {chr(0xdcff): [-2**40, {1}, 1j]}))",
    "a property without an end": "x = []; x.append(x); request.node.user_properties.append(('p', x))",
    "a captured line": "import sys; sys.stdout.buffer.write(b'\\xff\\n')",
    "a log record": "import logging; logging.warning('%s', chr(0xdcff))",
    "a warning": "import warnings; warnings.warn(chr(0xdcff))",
    "a section of the report": "request.node.add_report_section('call', 'mine', chr(0xd800))",
}

AUTOUSE = """

@pytest.fixture(autouse=True)
def beside(request):
    yield
    if "h05" in request.node.nodeid:
        WHAT
"""


@pytest.mark.parametrize("what", BESIDE.values(), ids=BESIDE.keys())
def test_what_a_plugin_puts_beside_a_result_does_not_end_the_worker(site: Project, what: str) -> None:
    site.checks(CHECKS + AUTOUSE.replace("WHAT", what))
    ran = site.run("-n2")
    assert "replacing crashed worker" not in ran.stdout.str()
    assert ran.ret == 1, ran.stdout.str()[-3000:]
    assert counted(site) == {"violated": 12}
    whole(site)


ENDS = {
    "os._exit": "os._exit(0)",
    "killed": "os.kill(os.getpid(), 9)",
    "terminated": "os.kill(os.getpid(), 15); import time; time.sleep(20)",
    "segmentation fault": "import ctypes; ctypes.string_at(0)",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_a_check_that_ends_its_worker_is_the_only_one_unknown(site: Project, end: str) -> None:
    """A check is driven when it is planned, when its answer has come and when it is judged: it ends three workers."""
    site.checks(CHECKS.replace("    assert", f'    if node.host == "h05":\n        {end}\n    assert'))
    ran = site.run("-n2")
    assert ran.ret == 1, ran.stdout.str()[-3000:] + ran.stderr.str()[-3000:]
    assert site.verdicts()["said[h05]"] == "unknown"
    assert counted(site) == {"violated": 11, "unknown": 1}
    whole(site)


def test_a_plain_check_that_ends_its_worker_is_the_only_one_unknown(site: Project) -> None:
    site.checks(
        "import os\ntestinfra_hosts = ['all']\n"
        "def test_says_right(host):\n"
        "    said = host.run('cat {directory}/$WHO').stdout\n"
        "    if host.backend.hostname == 'h05':\n        os._exit(0)\n"
        "    assert said == 'right\\n'\n"
    )
    ran = site.run("-n2")
    assert ran.ret == 1, ran.stdout.str()[-3000:]
    assert counted(site) == {"violated": 11, "unknown": 1}
    assert site.verdicts()["says-right[h05]"] == "unknown"
    whole(site)


def test_where_no_worker_may_be_replaced_the_rest_is_named(site: Project) -> None:
    site.checks(CHECKS.replace("    assert", '    if node.host == "h05":\n        os._exit(0)\n    assert'))
    ran = site.run("-n2", "--max-worker-restart=0")
    assert ran.ret not in (0, 3), ran.stdout.str()[-3000:]
    whole(site)


@WORKERS
def test_a_check_that_leaves_python_is_unknown(site: Project, workers: str) -> None:
    site.checks(CHECKS.replace("    assert", '    if node.host == "h05":\n        raise SystemExit(0)\n    assert'))
    assert site.run(workers).ret == 1
    assert counted(site) == {"violated": 11, "unknown": 1}


DEEP = r"""
def nested():
    found = []
    for _ in range(5000):
        found = [found]
    return found

@invariant("deep", family="link", severity="high", incident="", remedy="")
async def test_something_deep(node: Node, link: Link) -> None:
    await said(node.host)
    assert nested() == link.mtu
"""


@WORKERS
def test_a_value_that_cannot_be_shown_is_violated_all_the_same(site: Project, workers: str) -> None:
    site.checks(CHECKS + DEEP)
    assert site.run(workers).ret == 1
    assert counted(site) == {"violated": 24}


def test_a_check_that_every_worker_judges_is_one_result(site: Project) -> None:
    ran = site.run("--tx=2*popen", "--dist=each")
    assert ran.ret == 1
    assert counted(site) == {"violated": 12}


def test_reports_are_plain_utf_8(site: Project) -> None:
    say(site, "h05", b"\xff\xfe \xf0\x28\x8c\x28\n")
    site.run("-n2")
    for path in Path(site.runs[-1]).rglob("*"):
        if path.is_file():
            path.read_text(encoding="utf-8")
    (found,) = [r for r in json.loads((site.runs[-1] / "report.json").read_text())["results"] if r["host"] == "h05"]
    assert found["seen"].startswith("\\xff\\xfe")


def hide(project: Project, *secrets: str) -> str:
    """Write the inventory with vaulted values; gives the option that opens them."""
    project.write()
    password = project.pytester.path / "vault-password"
    password.write_text("open sesame\n")
    file = project.pytester.path / "inventories/site/group_vars/all.yml"
    hidden = [f"vault_{number}: {encrypted(secret, password)}" for number, secret in enumerate(secrets)]
    file.write_text(file.read_text() + "".join(hidden))
    project.write = lambda: None  # type: ignore[method-assign]
    return f"--vault-password-file={password}"


def told_apart(project: Project, *fields: str) -> None:
    """The results of the last run are as many names as results, in every report that machines read."""
    results = project.report["results"]
    for field in fields:
        assert len({result[field] for result in results}) == len(results), field
    samples = (project.runs[-1] / "metrics.prom").read_text().splitlines()
    assert len(set(samples)) == len(samples)


@WORKERS
def test_a_secret_in_the_names_of_checks_loses_none(project: Project, workers: str) -> None:
    """Of a vault whose user is called `node`, as the functions of the checks and one of their ids are."""
    project.checks(OPERATORS.replace('"mtu-borrowed", family="link",', '"of-node", family="link", follows=("mtu",),'))
    project.facts["siteproof_waivers"] = [
        {"id": "of-node", "hosts": "one", "owner": "me", "reason": "later", "until": "2099-01-01"}
    ]
    opened = hide(project, "node", "links")
    ran = project.run(opened, workers)
    assert ran.ret == 0, ran.stdout.str()[-3000:]
    assert counted(project) == {"held": 4}
    assert project.report["shortfalls"] == []
    assert not [said for said in project.report["remarks"] if "was not needed" in said]
    told_apart(project, "nodeid")
    whole(project)
    project.mtu(-1)
    assert project.run(opened, workers).ret == 1
    followers = [r for r in project.report["results"] if r["host"] == "two" and r["follows_from"]]
    assert [r["follows_from"] for r in followers] == ["mtu[two]"]


HOSTS = """
def test_says_hi(host):
    assert host.check_output("echo hi") == "hi"
    assert host.backend.hostname != "prod2-web"
"""


@WORKERS
def test_hosts_that_differ_only_in_a_secret_have_a_verdict_each(project: Project, workers: str) -> None:
    project.hosts = {"prod1-web": {}, "prod2-web": {"siteproof_alias_of": "prod1-web"}}
    project.checks(HOSTS + OPERATORS)
    ran = project.run(hide(project, "prod1", "prod2"), workers)
    assert ran.ret == 1, ran.stdout.str()[-3000:]
    assert counted(project) == {"held": 5, "violated": 1}
    assert "prod1" not in (project.runs[-1] / "report.json").read_text()
    told_apart(project, "nodeid")
    assert len({(result["id"], result["subject"]) for result in project.report["results"]}) == 6
    assert len({host["name"] for host in project.report["hosts"]}) == 2
    assert {result["host"] for result in project.report["results"]} == {h["name"] for h in project.report["hosts"]}


def test_every_host_has_its_verdict(site: Project) -> None:
    for name in NAMES:
        say(site, name, b"right\n")
    assert site.run("-n2").ret == 0
