"""The suite as an operator runs it: pytest in a process of its own, asking a real sshd."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from operators_project import CHECKS, WORKERS, Project

pytest_plugins = "pytester"


@WORKERS
def test_a_healthy_site_holds_over_one_connection_a_host(project: Project, workers: tuple[str, ...]) -> None:
    before = project.sshd.logins()
    ran = project.run(*workers)
    assert ran.ret == 0, ran.stdout.str()
    held = {name: v for name, v in project.verdicts().items() if v == "held"}
    assert set(held) == {"mtu[one]", "mtu[two]", "mtu-borrowed[one]", "mtu-borrowed[two]"}
    assert project.report["summary"]["planned"] == 4 + (len(project.verdicts()) - 4)
    assert project.sshd.logins() - before == 2


@WORKERS
def test_a_violation_says_what_an_operator_needs(project: Project, workers: tuple[str, ...]) -> None:
    project.mtu(1500)
    ran = project.run(*workers)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(
        [
            "VIOLATED*mtu*high*",
            "*A node has the declared MTU.*",
            "*expected*1400*",
            "*inventories/site/group_vars/all.yml:*",
            "*seen*1500*",
            "*remedy*a remedy*",
            "*incident*an incident*",
        ]
    )
    assert project.verdicts()["mtu[one]"] == "violated"
    assert "mtu: 1400" in (project.pytester.path / "inventories/site/group_vars/all.yml").read_text()


@pytest.mark.parametrize("answer", ["usage: mtu [options]", ""])
def test_a_broken_probe_is_unknown_and_never_red(project: Project, answer: str) -> None:
    project.mtu(answer)
    ran = project.run()
    assert ran.ret == 6
    assert project.verdicts()["mtu[one]"] == "unknown"
    assert "VIOLATED" not in ran.stdout.str()


def test_one_host_down_leaves_the_others_verdicts(project: Project) -> None:
    project.hosts["two"] = {"ansible_port": 1}
    ran = project.run()
    assert ran.ret == 6
    verdicts = project.verdicts()
    assert verdicts["mtu[one]"] == "held"
    assert verdicts["mtu[two]"] == verdicts["mtu-borrowed[two]"] == "unknown"
    assert ran.stdout.str().count("UNKNOWN") == 1
    host = next(h for h in project.report["hosts"] if h["name"] == "two")
    assert not host["reached"]
    assert host["error"]


@WORKERS
def test_two_hosts_that_are_one_machine_are_not_believed(project: Project, workers: tuple[str, ...]) -> None:
    project.hosts["two"] = {}
    ran = project.run(*workers)
    assert ran.ret == 6
    assert set(project.verdicts().values()) == {"unknown"}
    assert ran.stdout.str().count("UNKNOWN") == 1
    ran.stdout.fnmatch_lines(["*one and two have the same machine-id*"])


@WORKERS
def test_another_machine_under_an_old_name_is_not_believed(project: Project, workers: tuple[str, ...]) -> None:
    assert project.run(*workers).ret == 0
    kept = project.pytester.path / "reports/known_machines"
    machine = Path("/etc/machine-id").read_text().strip()
    lines = [line.split("\t") for line in kept.read_text().splitlines() if not line.startswith("#")]
    assert [line[:3] for line in lines] == [["inventories/site", host, machine] for host in ("one", "two")]
    before = kept.read_text()
    kept.write_text(before.replace(f"one\t{machine}", f"one\t{'0' * 32}"))
    ran = project.run(*workers)
    assert ran.ret == 6
    assert {name: v for name, v in project.verdicts().items() if v == "unknown"}.keys() == {
        name for name in project.verdicts() if name.endswith("[one]")
    }
    ran.stdout.fnmatch_lines(["*one has another machine-id than it had since *(reports/known_machines:2)*"])
    # It stays so until somebody accepts it.
    assert project.run(*workers).ret == 6
    kept.write_text("".join(line for line in kept.read_text().splitlines(True) if "\tone\t" not in line))
    assert project.run(*workers).ret == 0
    assert sorted(kept.read_text().splitlines()) == sorted(before.splitlines())


def test_a_declared_machine_needs_no_memory(project: Project) -> None:
    (project.pytester.path / "reports").mkdir()
    kept = project.pytester.path / "reports/known_machines"
    kept.write_text(f"inventories/site\tone\t{'0' * 32}\t2026-11-01\n")
    project.hosts["one"]["siteproof_machine_id"] = Path("/etc/machine-id").read_text().strip()
    assert project.run().ret == 0


def test_what_is_no_memory_of_machines_is_refused(project: Project) -> None:
    (project.pytester.path / "reports").mkdir()
    (project.pytester.path / "reports/known_machines").write_text("# a remark\n\none 1234\n")
    ran = project.run()
    assert ran.ret == 4
    ran.stderr.fnmatch_lines(["*reports/known_machines:3: not a line of inventory, host, machine-id and day*"])
    assert project.runs == []


def test_a_host_that_calls_itself_by_another_s_name_is_not_believed(project: Project) -> None:
    name = os.uname().nodename.partition(".")[0]
    project.hosts = {"one": {}, name.upper(): {"ansible_connection": "ansible.netcommon.network_cli"}}
    project.facts.pop("siteproof_link")
    project.hosts["one"]["siteproof_link"] = {"mtu": 1400}
    ran = project.run()
    assert set(project.verdicts().values()) == {"unknown"}
    ran.stdout.fnmatch_lines([f"*one calls itself {os.uname().nodename}, and {name.upper()} is another host*"])
    project.hosts["one"]["siteproof_hostname"] = os.uname().nodename
    project.run()
    assert "unknown" not in project.verdicts().values()


def test_all_hosts_down_is_unknown(project: Project) -> None:
    project.variables["ansible_port"] = 1
    assert project.run().ret == 6


def test_a_waiver_is_xfail_and_an_expired_one_is_void(project: Project) -> None:
    project.mtu(1500)
    waiver = {"id": "mtu", "hosts": "one", "owner": "kai", "reason": "on its way", "until": "2999-01-01"}
    project.facts["siteproof_waivers"] = [waiver, waiver | {"hosts": "two", "until": "2020-01-01"}]
    ran = project.run()
    assert ran.ret == 1
    assert project.verdicts()["mtu[one]"] == "waived"
    assert project.verdicts()["mtu[two]"] == "violated"
    ran.stdout.fnmatch_lines(["*expired on 2020-01-01*"])
    ran.assert_outcomes(xfailed=1, failed=1, passed=2)


def test_a_waiver_never_hides_an_unknown_and_a_healed_one_is_said(project: Project) -> None:
    waiver = {"id": "mtu", "hosts": "all", "owner": "kai", "reason": "on its way", "until": "2999-01-01"}
    project.facts["siteproof_waivers"] = [waiver]
    project.hosts["two"] = {"ansible_port": 1}
    ran = project.run()
    assert ran.ret == 6
    assert project.verdicts()["mtu[two]"] == "unknown"
    ran.stdout.fnmatch_lines(["*the waiver can go*"])


def test_the_gate_counts_a_waived_violation(project: Project) -> None:
    project.mtu(1500)
    project.facts["siteproof_waivers"] = [
        {"id": "mtu", "hosts": "all", "owner": "kai", "reason": "on its way", "until": "2999-01-01"}
    ]
    assert project.run().ret == 0
    assert project.run("--gate").ret == 1
    assert set(project.verdicts()) == {"mtu[one]", "mtu[two]"}


def test_read_only_leaves_out_what_borrows(project: Project) -> None:
    ran = project.run("--read-only")
    assert ran.ret == 0
    assert set(project.verdicts()) == {"mtu[one]", "mtu[two]"}
    ran.stdout.fnmatch_lines(["*--read-only*mtu-borrowed*"])


def test_limit_leaves_out_hosts(project: Project) -> None:
    assert project.run("--limit=one").ret == 0
    assert set(project.verdicts()) == {"mtu[one]", "mtu-borrowed[one]"}


def test_a_family_neither_declared_nor_absent_is_a_shortfall(project: Project) -> None:
    del project.facts["siteproof_absent"]["swarm"]
    ran = project.run()
    assert ran.ret == 7
    ran.stdout.fnmatch_lines(["*swarm*neither declared*"])


def test_checks_of_such_a_family_have_nothing_to_begin_with(project: Project) -> None:
    del project.facts["siteproof_link"]
    ran = project.run()
    assert ran.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    ran.stdout.fnmatch_lines(["*link*neither declared*"])
    ran.stdout.no_fnmatch_line("*INTERNALERROR*")


REFUSED = [
    ({"siteproof_lnk": {"mtu": 1400}}, "*all.yml:*siteproof_lnk is not known; did you mean `siteproof_link`?*"),
    ({"siteproof_link": {"mtuu": 1400}}, "*all.yml:*mtuu*did you mean `mtu`?*"),
    ({"siteproof_link": {"mtu": "big"}}, "*all.yml:*siteproof_link.mtu*"),
    ({"siteproof_absent": {"swrm": "none"}}, "*all.yml:*siteproof_absent.swrm*did you mean `swarm`?*"),
    ({"siteproof_absent": {"link": "none"}}, "*all.yml:*declared*absent at once*"),
    (
        {"siteproof_waivers": [{"id": "mtu", "hosts": "thre", "owner": "k", "reason": "r", "until": "2999-01-01"}]},
        "*all.yml:*siteproof_waivers*thre*",
    ),
]


@pytest.mark.parametrize(("facts", "sentence"), REFUSED)
def test_bad_facts_are_one_sentence_and_exit_4(project: Project, facts: dict[str, Any], sentence: str) -> None:
    project.facts |= facts
    ran = project.run()
    assert ran.ret == 4
    ran.stderr.fnmatch_lines([sentence])
    assert not (project.pytester.path / "reports").exists()


@pytest.mark.parametrize("hosts", ["nosuch", "sit", "hosts.example.org"])
def test_an_unknown_hosts_is_refused_and_never_looked_up(project: Project, hosts: str) -> None:
    ran = project.run(hosts=hosts)
    assert ran.ret == 4
    ran.stderr.fnmatch_lines([f"*--hosts={hosts}*"])


@pytest.mark.parametrize("address", ["203.0.113.66", "198.18.0.1", "2001:db8::1", "node.example"])
def test_documentation_addresses_are_never_connected_to(project: Project, address: str) -> None:
    project.hosts["two"] |= {"ansible_host": address}
    before = project.sshd.logins()
    ran = project.run()
    assert ran.ret == 4
    ran.stderr.fnmatch_lines([f"*two: ansible_host is {address}*nothing was connected to*"])
    assert project.sshd.logins() == before


def test_an_unknown_limit_is_refused(project: Project) -> None:
    ran = project.run("--limit=oen")
    assert ran.ret == 4
    ran.stderr.fnmatch_lines(["*oen*"])


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_checks_without_hosts_are_refused_but_can_be_listed(project: Project, workers: str) -> None:
    ran = project.run(workers, hosts=None)
    assert ran.ret == 4
    ran.stderr.fnmatch_lines(["ERROR: tests_infra/test_links.py::test_node_has_the_declared_mtu asks hosts*--hosts*"])
    assert project.run("--collect-only", workers, hosts=None).ret == 0


def test_nothing_selected_is_not_green(project: Project) -> None:
    assert project.run("-k", "no_such_check").ret == 5


def test_skip_in_an_invariant_is_unknown(project: Project) -> None:
    project.checks(CHECKS.replace("assert await mtu(node.host) > 0", "await mtu(node.host); pytest.skip('not today')"))
    ran = project.run()
    assert ran.ret == 6
    assert project.verdicts()["mtu-borrowed[one]"] == "unknown"


@pytest.mark.parametrize(
    "bug", ["await mtu(node.host); raise KeyError('x')", "assert mtu(node.host) == 1400", "note('asked nothing')"]
)
def test_a_bug_in_a_check_is_unknown(project: Project, bug: str) -> None:
    project.checks(CHECKS.replace("assert await mtu(node.host) > 0\n    await lent(node.host)", bug))
    assert project.run().ret == 6
    assert project.verdicts()["mtu-borrowed[one]"] == "unknown"


def test_a_run_cut_short_is_a_shortfall(project: Project) -> None:
    project.checks(CHECKS + "\ndef test_last():\n    pytest.exit('stop', returncode=0)\n")
    assert project.run().ret not in (0, 1, 6)


def test_plan_connects_to_nothing(project: Project) -> None:
    before = project.sshd.logins()
    ran = project.run("--plan")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*2 questions on 2 hosts*", "one", "*mtu*", "*as the login user*"])
    assert project.sshd.logins() == before
    assert not (project.pytester.path / "reports").exists()


def test_check_access_is_a_table(project: Project) -> None:
    project.hosts["two"] |= {"ansible_ssh_common_args": "-F /dev/null -o UserKnownHostsFile=/dev/null"}
    ran = project.run("--check-access")
    assert ran.ret == 6
    ran.stdout.fnmatch_lines(["host*access*root*missing tools", "one*reached*", "two*HostKeyUnknown*ssh-keyscan*"])


PLAIN = """
testinfra_hosts = ["one"]

def test_there_is_a_root(host):
    assert host.user("root").exists

def test_it_has_no_such_file(host):
    assert host.file("/no/such/file").exists

def test_an_assertion_of_testinfra(host):
    host.check_output("false")
"""


def test_a_plain_testinfra_check_works_unchanged(project: Project) -> None:
    project.checks(PLAIN)
    before = project.sshd.logins()
    ran = project.run()
    assert ran.ret == 1, ran.stdout.str()
    verdicts = project.verdicts()
    assert verdicts["there-is-a-root[one]"] == "held"
    assert verdicts["it-has-no-such-file[one]"] == "violated"
    assert verdicts["an-assertion-of-testinfra[one]"] == "unknown"
    assert project.sshd.logins() - before == 1


def test_the_run_is_for_its_owner_alone(project: Project) -> None:
    project.run()
    latest = (project.pytester.path / "reports/latest").resolve()
    assert stat.S_IMODE(latest.stat().st_mode) == 0o700
    for folder, _, files in os.walk(latest):
        assert all(stat.S_IMODE((Path(folder) / f).stat().st_mode) == 0o600 for f in files)


def test_secrets_of_the_inventory_are_in_no_report(project: Project) -> None:
    secret = "correct-horse-battery"  # noqa: S105
    project.variables["ansible_become_password"] = secret
    project.mtu(f"usage: {secret}")
    assert project.run().ret == 6
    latest = (project.pytester.path / "reports/latest").resolve()
    found = [path for path in latest.rglob("*") if path.is_file() and secret in path.read_text()]
    assert found == []


def test_a_host_that_no_check_looks_at_is_a_shortfall(project: Project) -> None:
    project.facts.pop("siteproof_link")
    project.hosts["one"] |= {"siteproof_link": {"mtu": 1400}}
    ran = project.run()
    assert ran.ret == 7
    ran.stdout.fnmatch_lines(["*no check looks at two*"])
    project.facts["siteproof_unchecked"] = {"two": "a printer"}
    assert project.run().ret == 0


def test_a_host_that_went_away_is_said_once(project: Project) -> None:
    assert project.run().ret == 0
    del project.hosts["two"]
    ran = project.run()
    assert ran.ret == 7
    ran.stdout.fnmatch_lines(["*the run before this one looked at two*"])
    assert project.run().ret == 0
