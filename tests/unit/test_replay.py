"""Evidence is judged again: without a connection, by today's checks and facts, and always in the same words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from operators_project import CHECKS, WORKERS, Project

pytest_plugins = "pytester"

ACROSS = '''
@invariant("alike", family="link", severity="high", incident="", remedy="")
async def test_nodes_are_alike(link: Link) -> None:
    """All nodes have the same MTU."""
    seen = await each({name: mtu(name) for name in ("one", "two")})
    assert len(set(seen.values())) == 1
'''

LATER = '''
@invariant("alike-later", family="link", severity="high", incident="", remedy="")
async def test_nodes_are_alike_in_the_second_round(node: Node, link: Link) -> None:
    """A node has the MTU of node one."""
    if node.host == "one":
        assert await mtu("one") == link.mtu
    else:
        first = await mtu(node.host)
        assert first == await mtu("one")
'''

TREND = '''
from siteproof.facts import History, Router
from siteproof.facts.edge import Edge

@invariant("trend", family="edge", severity="high", incident="", remedy="")
async def test_there_is_a_trend(router: Router, history: History, edge: Edge) -> None:
    """A check that looks back."""
    assert await mtu(router.host) == 1400
'''


def replay(project: Project, *bundles: Path, options: tuple[str, ...] = ()) -> int:
    ran = project.run("--replay", *map(str, bundles), *options)
    return int(ran.ret)


def judged_parts(run: Path) -> dict[str, str]:
    """Everything that was reported, but for when it was judged."""
    judged = json.loads((run / "report.json").read_text())["judged"]
    moment = re.compile(rf"{re.escape(judged)}|judged {judged[:10]} [\d:]+ UTC")
    files = [path for path in run.iterdir() if path.is_file() and path.name != "run.json"]
    return {path.name: moment.sub("‹judged›", path.read_text()) for path in files}


@WORKERS
def test_a_bundle_is_judged_offline_and_twice_alike(project: Project, workers: tuple[str, ...]) -> None:
    project.hosts["three"] = {"ansible_port": 1}
    project.mtu(1500)
    assert project.run().ret == 1
    (lived,) = project.runs
    verdicts = project.verdicts()
    assert set(verdicts.values()) == {"held", "violated", "unknown"}
    before = project.sshd.logins()
    project.mtu(1400)  # what the hosts would say now is nobody's business
    assert replay(project, lived) == 1
    assert project.verdicts() == verdicts
    assert replay(project, lived, options=workers) == 1
    assert project.sshd.logins() == before
    _, first, second = project.runs
    assert judged_parts(first) == judged_parts(second)
    assert set(judged_parts(first)) == {"report.json", "report.html", "report.md", "junit.xml", "metrics.prom"}


def test_a_replay_says_what_the_run_said(project: Project) -> None:
    project.mtu(1500)
    project.run()
    (lived,) = project.runs
    replay(project, lived)
    *_, again = project.runs
    live, replayed = (json.loads((run / "report.json").read_text()) for run in (lived, again))
    for each in (*live["results"], *replayed["results"]):
        for ref in each["evidence"]:
            ref["file"] = Path(ref["file"]).name
    assert {name for name in live if live[name] != replayed[name]} - {"finished"} == {"judged", "replayed"}
    assert (again / json.loads((again / "report.json").read_text())["results"][0]["evidence"][0]["file"]).exists()


def test_today_s_facts_and_waivers_judge_yesterday_s_evidence(project: Project) -> None:
    project.mtu(1500)
    assert project.run().ret == 1
    (lived,) = project.runs
    project.facts["siteproof_waivers"] = [
        {"id": "mtu", "hosts": "one", "owner": "kai", "reason": "on its way", "until": "2999-01-01"}
    ]
    assert replay(project, lived) == 1
    assert (project.verdicts()["mtu[one]"], project.verdicts()["mtu[two]"]) == ("waived", "violated")
    project.facts["siteproof_link"] = {"mtu": 1500}
    assert replay(project, lived) == 0


def test_a_question_that_is_not_in_the_bundle_is_unknown(project: Project) -> None:
    project.run()
    (lived,) = project.runs
    project.checks(CHECKS.replace("|| cat", "||  cat"))
    assert replay(project, lived) == 6
    assert project.verdicts()["mtu[one]"] == "unknown"
    assert "not in the evidence" in project.report["results"][0]["message"]


def test_what_a_bundle_was_never_meant_to_hold_is_not_missed_in_it(project: Project) -> None:
    project.run("--read-only")
    (lived,) = project.runs
    assert replay(project, lived) == 0
    assert [id for id in project.verdicts() if id.startswith("mtu-borrowed[")] == []


@pytest.mark.slow
@WORKERS
@pytest.mark.parametrize(
    "parts", [("--shard=1/2", "--shard=2/2"), ("--limit=one", "--limit=two")], ids=["i/n", "limit"]
)
def test_shards_come_together(project: Project, parts: tuple[str, str], workers: tuple[str, ...]) -> None:
    project.checks(CHECKS + ACROSS)
    whole = project.run()
    assert whole.ret == 0, whole.stdout.str()
    verdicts, before = project.verdicts(), project.sshd.logins()
    for part in parts:
        assert project.run(part, *workers).ret == 0
        assert not [name for name in project.verdicts() if name.startswith("alike[")]
        assert any("also asks" in remark and "alike[" in remark for remark in project.report["remarks"])
    assert project.sshd.logins() - before == 2
    _, first, second = project.runs
    assert replay(project, first, second, options=workers) == 0
    assert project.verdicts() == verdicts


def test_a_merge_finds_what_no_shard_could(project: Project) -> None:
    project.checks(CHECKS + ACROSS)
    project.run("--limit=one")
    project.facts["siteproof_link"] = {"mtu": 1500}
    project.mtu(1500)
    project.run("--limit=two")
    assert replay(project, *project.runs) == 1
    assert {project.verdicts()["alike[one]"], project.verdicts()["alike[two]"]} == {"violated"}


def test_a_missing_shard_is_a_shortfall(project: Project) -> None:
    project.checks(CHECKS + ACROSS)
    project.run("--shard=1/2")
    ran = project.run("--replay", str(project.runs[0]))
    assert ran.ret == 7
    ran.stdout.fnmatch_lines(["*in none of the bundles: two*", "*planned and not judged*mtu*two*"])
    assert project.report["summary"]["held"] > 0


def test_a_host_of_another_shard_that_is_only_met_later_is_unknown(project: Project) -> None:
    project.checks(CHECKS + LATER)
    assert project.run("--limit=one").ret == 0
    assert project.run("--limit=two").ret == 6
    (unknown,) = [r for r in project.report["results"] if r["verdict"] == "unknown"]
    assert (unknown["id"], unknown["message"]) == ("alike-later", "one is not part of this run")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "x", "1", "3/3"])
def test_a_shard_that_is_none_is_refused(project: Project, shard: str) -> None:
    ran = project.run(f"--shard={shard}")
    assert ran.ret == 4
    ran.stderr.fnmatch_lines([f"*--shard={shard}*"])


@pytest.mark.parametrize("broken", ["nothing", "no record", "no json", "another schema", "no evidence"])
def test_what_is_no_bundle_is_refused_in_one_sentence(project: Project, broken: str) -> None:
    project.run()
    (bundle,) = project.runs
    match broken:
        case "nothing":
            shutil.rmtree(bundle)
        case "no record":
            (bundle / "run.json").unlink()
        case "no json":
            (bundle / "run.json").write_text("[]")
        case "another schema":
            (bundle / "run.json").write_text('{"schema": 99}')
        case "no evidence":
            shutil.rmtree(bundle / "evidence")
    ran = project.run("--replay", str(bundle))
    assert ran.ret == 4
    ran.stderr.fnmatch_lines([f"*{bundle.name}*"])


def test_a_run_that_was_killed_is_judged_as_far_as_it_came(project: Project) -> None:
    project.run()
    (bundle,) = project.runs
    record = json.loads((bundle / "run.json").read_text())
    (bundle / "run.json").write_text(json.dumps(record | {"finished": None, "planned": []}))
    (bundle / "evidence/two.jsonl").unlink()
    assert replay(project, bundle) == 6
    assert (project.verdicts()["mtu[one]"], project.verdicts()["mtu[two]"]) == ("held", "unknown")
    assert any("never ended" in remark for remark in project.report["remarks"])


def test_no_vault_value_is_in_a_bundle(project: Project) -> None:
    vault = project.pytester.path / "vault-password"
    vault.write_text("open sesame\n")
    secret = "S3cret-of-the-vault"  # noqa: S105
    tool = Path(sys.executable).with_name("ansible-vault")
    line = [str(tool), "encrypt_string", "--vault-password-file", str(vault), secret]
    encrypted = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    variables = project.pytester.path / "inventories/site/host_vars/one.yml"
    variables.parent.mkdir(parents=True)
    variables.write_text(f"registry_password: {encrypted}")
    project.mtu(f"usage: {secret}")
    assert project.run(f"--vault-password-file={vault}").ret == 6
    (bundle,) = project.runs
    files = [path.read_text() for path in bundle.rglob("*") if path.is_file()]
    assert not [text for text in files if secret in text]
    assert [text for text in files if "usage: «redacted»" in text]


def test_the_record_says_what_the_run_was(project: Project) -> None:
    project.run("--limit=one")
    record = json.loads((project.runs[0] / "run.json").read_text())
    assert (record["hosts"], record["selected"]) == (["one", "two"], ["one"])
    assert record["inventory"] == "inventories/site"
    assert "mtu[one]" in record["planned"]
    assert record["started"] < record["finished"]
    assert set(record["versions"]) == {"siteproof", "python", "pytest"}


def test_what_is_too_early_for_a_trend_is_so_at_the_bundle_s_time(project: Project) -> None:
    today = datetime.now(UTC)
    project.checks(CHECKS + TREND)
    address = {"address": "198.51.100.76", "allow": ["tcp/443"], "control": "tcp/443"}
    edge = {"routers": "one", "outside": "one", "tempting_ports": [22], "addresses": [address]}
    project.facts["siteproof_edge"] = edge
    project.facts["siteproof_absent"].pop("edge")
    project.facts["siteproof_history"] = {"since": (today - timedelta(days=10)).date()}
    assert project.run().ret == 0
    assert project.verdicts()["trend[one]"] == "held"
    (lived,) = project.runs
    record = json.loads((lived / "run.json").read_text())
    (lived / "run.json").write_text(json.dumps(record | {"started": (today - timedelta(days=9)).isoformat()}))
    replay(project, lived)
    assert project.verdicts()["trend[absent]"] == "not applicable"
