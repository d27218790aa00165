"""One finding per cause: what follows from a violation, or is kept unknown by one host, is told under it."""

from __future__ import annotations

from operators_project import CHECKS, WORKERS, Project

from siteproof.judging.run import _follow
from siteproof.results import Result, Verdict

pytest_plugins = "pytester"

CHAIN = '''
@invariant("second", family="link", severity="critical", incident="", remedy="", follows=("mtu",))
async def test_second(node: Node, link: Link) -> None:
    """The second follows from the first."""
    assert await mtu(node.host) == link.mtu

@invariant("third", family="link", severity="critical", incident="", remedy="", follows=("second",))
async def test_third(node: Node, link: Link) -> None:
    """The third follows from the second."""
    assert await mtu(node.host) == link.mtu
'''


@WORKERS
def test_what_follows_from_a_finding_is_told_under_it(project: Project, workers: tuple[str, ...]) -> None:
    project.checks(CHECKS + CHAIN)
    project.mtu(1500)
    lived = project.run(*workers)
    replayed = project.run("--replay", str(project.runs[0]), *workers)
    for ran in (lived, replayed):
        assert ran.ret == 1
        assert ran.stdout.str().count("VIOLATED") == 1
        ran.stdout.fnmatch_lines(["VIOLATED*mtu*", "*because of this: second*"])
    roots = {f"{r['id']}[{r['subject']}]": r["follows_from"] for r in project.report["results"]}
    assert roots["mtu[one]"] is None
    assert (roots["second[one]"], roots["third[one]"]) == ("mtu[one]", "second[one]")


def test_a_host_between_that_is_down_is_one_cause(project: Project) -> None:
    jump = f"-F /dev/null -o UserKnownHostsFile={project.sshd.known_hosts} -J nobody@127.0.0.1:1"
    project.hosts |= {name: {"ansible_ssh_common_args": jump} for name in ("behind1", "behind2")}
    ran = project.run()
    assert ran.ret == 6
    assert ran.stdout.str().count("UNKNOWN") == 1, ran.stdout.str()
    ran.stdout.fnmatch_lines(["UNKNOWN*127.0.0.1:1*4 results unknown*"])


def test_what_is_of_some_hosts_follows_from_none_but_theirs() -> None:
    """Two fleets: what differs in the one is not told under a finding on a host of the other."""

    def result(id: str, subject: str, host: str | None, among: tuple[str, ...] = ()) -> Result:
        return Result(id, "", subject, host, Verdict.VIOLATED, "high", "reads", f"t.py::{id}[{subject}]", among=among)

    results = [
        result("mtu", "b", "b"),
        result("alike", "first", None, ("a",)),
        result("alike", "second", None, ("b", "c")),
    ]
    found = {r.name: r.follows_from for r in _follow(results, {"alike": ("mtu",)})}
    assert found == {"mtu[b]": None, "alike[first]": None, "alike[second]": "mtu[b]"}
