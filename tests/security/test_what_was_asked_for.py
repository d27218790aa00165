"""What the operator leaves out is left out, what a check's author writes beside it hides nothing."""

from __future__ import annotations

import shutil

import pytest
from operators_project import CHECKS, Project

pytest_plugins = "pytester"

WORKERS = pytest.mark.parametrize("workers", ["-n0", "-n2"])
MTU = "tests_infra/test_links.py::test_node_has_the_declared_mtu"
LENDS = "tests_infra/test_links.py::test_node_lends_something"


@pytest.fixture
def cached(project: Project) -> Project:
    """With pytest's cache, which --lf and --sw live on."""
    project.pytester.makeini("[pytest]\naddopts = --strict-markers -p no:hypothesispytest")
    project.mtu(1500)
    assert project.run("-k", "declared and one").ret == 1
    return project


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--lf",), {"mtu[one]"}),
        (("--ff",), {"mtu[one]", "mtu[two]", "mtu-borrowed[one]", "mtu-borrowed[two]"}),
        (("--nf",), {"mtu[one]", "mtu[two]", "mtu-borrowed[one]", "mtu-borrowed[two]"}),
        ((f"--deselect={MTU}[one]",), {"mtu[two]", "mtu-borrowed[one]", "mtu-borrowed[two]"}),
        ((f"--deselect={MTU}[two]", f"--deselect={LENDS}[two]"), {"mtu[one]", "mtu-borrowed[one]"}),
        (("-k", "declared and one"), {"mtu[one]"}),
        (("-m", "gate"), {"mtu[one]", "mtu[two]"}),
        (("--gate",), {"mtu[one]", "mtu[two]"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_deselected_was_not_planned(cached: Project, options: tuple[str, ...], left: set[str]) -> None:
    for workers, mtu, code in (("-n0", 1500, 1), ("-n2", 1400, 0)):
        cached.mtu(mtu)
        ran = cached.run(*options, workers)
        assert ran.ret == code, ran.stdout.str()
        assert set(cached.verdicts()) == left
        assert cached.report["summary"]["planned"] == len(left)
        assert cached.report["shortfalls"] == []


@WORKERS
def test_one_node_id_is_what_was_planned(project: Project, workers: str) -> None:
    project.write()
    ran = project.pytest(f"{MTU}[one]", "--hosts=site", workers)
    assert ran.ret == 0, ran.stdout.str()
    assert set(project.verdicts()) == {"mtu[one]"}
    assert project.report["shortfalls"] == []


@WORKERS
def test_with_nothing_left_there_is_nothing_to_judge(cached: Project, workers: str) -> None:
    cached.mtu(1400)
    assert cached.run().ret == 0
    assert cached.run("--lf", "--lfnf=none", workers).ret == 5
    assert cached.run(f"--deselect={MTU}", "--deselect=tests_infra", workers).ret == 5
    assert cached.run("--lf", workers).ret == 0


@WORKERS
@pytest.mark.parametrize("option", ["-x", "--maxfail=1", "--sw"])
def test_a_run_that_ends_early_as_was_asked_for_says_what_it_left(cached: Project, option: str, workers: str) -> None:
    shutil.rmtree(cached.pytester.path / ".pytest_cache")
    ran = cached.run(option, workers)
    assert ran.ret == 1, ran.stdout.str()
    verdicts = cached.verdicts()
    assert "violated" in verdicts.values()
    if len(verdicts) < 4:
        ran.stdout.fnmatch_lines(["*stopped early, as was asked for: not judged: *"])
    cached.mtu("broken")
    ran = cached.run(option, workers)
    assert ran.ret == 6, ran.stdout.str()


MARKS = {
    "xfail": "@pytest.mark.xfail",
    "xfail strict": "@pytest.mark.xfail(strict=True)",
    "xfail raises": "@pytest.mark.xfail(raises=AssertionError)",
    "xfail if": "@pytest.mark.xfail(True, reason='later')",
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS.keys())
def test_no_mark_of_an_author_hides_a_violation(project: Project, mark: str) -> None:
    project.checks(CHECKS.replace('@invariant("mtu"', f'{mark}\n@invariant("mtu"'))
    for option, mtu, code, verdict in (
        ("-n0", 1500, 1, "violated"),
        ("--runxfail", 1500, 1, "violated"),
        ("-n2", 1400, 0, "held"),
    ):
        project.mtu(mtu)
        assert project.run(option).ret == code
        assert project.verdicts()["mtu[one]"] == verdict


@pytest.mark.parametrize("mark", ["skip", "skipif(True, reason='x')", "xfail(run=False)"])
def test_a_check_that_its_author_does_not_run_is_unknown(project: Project, mark: str) -> None:
    project.checks(CHECKS.replace('@invariant("mtu"', f'@pytest.mark.{mark}\n@invariant("mtu"'))
    assert project.run().ret == 6
    assert project.verdicts()["mtu[one]"] == "unknown"


PLAIN = """
import pytest
testinfra_hosts = ["one"]

@pytest.mark.xfail(strict=False)
def test_marked(host):
    assert host.file("/no/such/file").exists

def test_said(host):
    pytest.xfail("later")

def test_skipped(host):
    pytest.skip("not here")
"""


def test_a_plain_check_that_is_expected_to_fail_fails(project: Project) -> None:
    project.checks(PLAIN)
    assert project.run().ret == 1
    verdicts = {"marked[one]": "violated", "said[one]": "unknown", "skipped[one]": "not applicable"}
    assert project.verdicts() == verdicts


WITHOUT = ["xdist", "cacheprovider", "terminal", "logging", "capture", "junitxml", "assertion", "skipping", "warnings"]


@pytest.mark.parametrize("plugin", WITHOUT)
def test_a_violation_is_one_without_a_part_of_pytest(project: Project, plugin: str) -> None:
    project.mtu(1500)
    ran = project.run("-p", f"no:{plugin}")
    assert ran.ret in (1, 4), ran.stdout.str() + ran.stderr.str()
    if ran.ret == 1:
        assert project.verdicts()["mtu[one]"] == "violated"


HELPER = """
def alike(seen, expected):
    assert seen == expected
"""
HELPED = CHECKS.replace("assert await mtu(node.host) == link.mtu", "alike(await mtu(node.host), link.mtu)")
PLACES = {
    "beside": ("tests_infra/helpers.py", "from helpers import alike"),
    "from the root": ("tests_infra/helpers.py", "from tests_infra.helpers import alike"),
    "in a package": ("tests_infra/lib/helpers.py", "from lib.helpers import alike"),
    "in conftest.py": ("tests_infra/conftest.py", "from conftest import alike"),
    "in a package below": ("tests_infra/lib/deep/helpers.py", "from lib.deep.helpers import alike"),
}


@pytest.mark.parametrize("early", [False, True], ids=["", "imported by conftest.py"])
@pytest.mark.parametrize(("place", "imports"), PLACES.values(), ids=PLACES.keys())
def test_an_assert_in_a_helper_tells_both_sides(project: Project, place: str, imports: str, early: bool) -> None:
    project.checks(f"{imports}\n{HELPED}")
    path = project.pytester.path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HELPER)
    if early and path.name != "conftest.py":
        (project.pytester.path / "tests_infra/conftest.py").write_text(f"{imports}\n")
    project.mtu(1500)
    ran = project.run()
    assert ran.ret == 1, ran.stdout.str() + ran.stderr.str()
    (found,) = [r for r in project.report["results"] if r["id"] == "mtu" and r["subject"] == "one"]
    assert (found["seen"], found["expected"]) == ("1500", "1400")


@pytest.mark.parametrize("options", [("--assert=plain",), ("--assert=plain", "-n2"), ("--import-mode=importlib",)])
def test_a_violation_is_one_however_asserts_are_run(project: Project, options: tuple[str, ...]) -> None:
    project.mtu(1500)
    assert project.run(*options).ret == 1
    (found,) = [r for r in project.report["results"] if r["id"] == "mtu" and r["subject"] == "one"]
    assert found["verdict"] == "violated"
    if "--assert=plain" in options:
        assert found["message"] == "assert await mtu(node.host) == link.mtu (test_links.py:15)"
    else:
        assert (found["seen"], found["expected"]) == ("1500", "1400")


TEARDOWN = """

@pytest.fixture(autouse=True)
def breaks(request):
    yield
    raise KeyError("x")
"""


@WORKERS
def test_what_breaks_after_a_violation_does_not_take_it_back(project: Project, workers: str) -> None:
    project.checks(CHECKS + TEARDOWN)
    project.mtu(1500)
    assert project.run(workers).ret == 1
    assert project.verdicts()["mtu[one]"] == "violated"
    assert project.verdicts()["mtu-borrowed[one]"] == "unknown"


AGAIN = """
def pytest_runtest_protocol(item, nextitem):
    from _pytest.runner import runtestprotocol
    for last in (False, True):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if not last and report.failed:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


def test_a_check_that_a_plugin_runs_again_stays_violated(project: Project) -> None:
    project.pytester.makeconftest(f'pytest_plugins = ["siteproof.plugin"]\n{AGAIN}')
    project.checks(
        "testinfra_hosts = ['one']\n"
        "def test_flaps(host):\n"
        "    assert host.run('test -e {directory}/again || ! : >{directory}/again').rc == 0\n"
    )
    (project.directory / "again").unlink(missing_ok=True)
    assert project.run().ret == 1
    assert project.verdicts() == {"flaps[one]": "violated"}


SUBTESTS = """
testinfra_hosts = ["one"]

def test_parts(host, subtests):
    with subtests.test("a"):
        assert host.file("/no/such/file").exists
    with subtests.test("b"):
        assert host.file("/").exists
"""


@WORKERS
def test_a_part_that_is_violated_is_not_lost(project: Project, workers: str) -> None:
    project.checks(SUBTESTS)
    assert project.run(workers).ret == 1
    assert project.verdicts() == {"parts[one]": "violated"}


ITSELF = {
    "what it needs is missing": ("import pytest\npytest.importorskip('no_such_module')\n", "no_such_module"),
    "it says so": ("import pytest\npytest.skip('not today', allow_module_level=True)\n", "not today"),
    "unittest's way": ("import unittest\nraise unittest.SkipTest('not today')\n", "not today"),
}


@WORKERS
@pytest.mark.parametrize(("first", "why"), ITSELF.values(), ids=ITSELF.keys())
def test_a_file_of_checks_that_skips_itself_is_missed(project: Project, first: str, why: str, workers: str) -> None:
    (project.pytester.path / "tests_infra/test_itself.py").write_text(first + CHECKS.replace('"mtu', '"other'))
    ran = project.run(workers)
    assert ran.ret == 7, ran.stdout.str()
    assert set(project.verdicts().values()) == {"held"}
    (said,) = project.report["shortfalls"]
    assert said.startswith("tests_infra/test_itself.py skipped itself, so that nothing of it was planned: ")
    assert why in said


LOOKS = ["--cache-show", "--cache-show=*", "--fixtures", "--fixtures-per-test", "--markers", "--help"]


@pytest.mark.parametrize("option", LOOKS)
def test_who_only_looks_at_what_pytest_knows_asks_nobody(cached: Project, option: str) -> None:
    before, logins = cached.runs, cached.sshd.logins()
    ran = cached.run(option)
    assert ran.ret == 0, ran.stdout.str() + ran.stderr.str()
    assert cached.runs == before
    assert cached.sshd.logins() == logins


def test_a_file_of_checks_that_is_named_twice_is_judged_once(project: Project) -> None:
    project.write()
    ran = project.pytest("tests_infra/test_links.py", "tests_infra/test_links.py", "--keep-duplicates", "--hosts=site")
    assert ran.ret == 0
    assert len(project.verdicts()) == 4


BROKEN = {
    "an error": ("import no_such_module\n", ("--continue-on-collection-errors",)),
    "a skip": ('import pytest\npytest.importorskip("no_such_module")\n', ()),
}


@pytest.mark.parametrize("look", ["--check-access", "--plan", "--sudoers=fragment", "--register=register.json"])
@pytest.mark.parametrize(("source", "options"), BROKEN.values(), ids=BROKEN.keys())
def test_a_look_at_a_part_is_not_taken_for_all(
    project: Project, source: str, options: tuple[str, ...], look: str
) -> None:
    project.checks(CHECKS)
    (project.pytester.path / "tests_infra/test_broken.py").write_text(source)
    ran = project.run(look, *options)
    written = look.startswith(("--sudoers", "--register"))
    assert ran.ret == (2 if options else 4 if written else 7), ran.stdout.str() + ran.stderr.str()
    assert "test_broken.py" in ran.stdout.str() + ran.stderr.str()
    assert not (project.pytester.path / "fragment").exists()
    assert not (project.pytester.path / "register.json").exists()
