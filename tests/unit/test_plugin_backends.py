"""Hosts that are not behind SSH, in a whole run: plan, access, checks, plain checks, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from operators_project import Project

pytest_plugins = "pytester"

PLAIN = """
testinfra_hosts = ["here"]

def test_there_is_a_root(host):
    assert host.user("root").exists
"""


@pytest.fixture
def here(project: Project) -> Project:
    project.hosts = {"here": {"ansible_connection": "local"}, "one": {"siteproof_alias_of": "here"}}
    return project


def container(kind: str, **variables: Any) -> dict[str, Any]:
    return {"ansible_connection": kind, "ansible_host": "web", **variables}


def test_this_machine_and_one_behind_ssh_are_judged_alike(here: Project) -> None:
    ran = here.run()
    assert ran.ret == 0, ran.stdout.str()
    assert set(here.verdicts().values()) == {"held"}
    assert {host["name"]: host["reached"] for host in here.report["hosts"]} == {"here": True, "one": True}
    verdicts = here.verdicts()
    assert here.run("--replay", str(here.runs[0])).ret == 0
    assert here.verdicts() == verdicts


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_plain_check_runs_there(here: Project, workers: tuple[str, ...]) -> None:
    del here.hosts["one"]
    here.checks(PLAIN)
    ran = here.run(*workers)
    assert ran.ret == 0, ran.stdout.str()
    assert here.verdicts() == {"there-is-a-root[here]": "held"}


def test_the_plan_needs_no_tool_and_says_through_what(here: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    here.hosts["web"] = container("podman", ansible_podman_executable="/no/such/podman", ansible_user="app")
    ran = here.run("--plan")
    assert ran.ret == 0, ran.stdout.str()
    ran.stdout.fnmatch_lines(["here, through local://", "one", "web, through podman://app@web"])


def test_access_says_through_what(here: Project) -> None:
    ran = here.run("--check-access")
    assert ran.ret == 0, ran.stdout.str()
    ran.stdout.fnmatch_lines(["host*access*", "here*reached as *, through local://*none", "one*reached as *none"])


def test_a_switch_that_nobody_asks_is_left_out(here: Project) -> None:
    del here.hosts["one"], here.facts["siteproof_link"]
    here.hosts["here"]["siteproof_link"] = {"mtu": 65536}
    here.hosts["sw1"] = {"ansible_connection": "ansible.netcommon.network_cli", "ansible_host": "10.1.0.250"}
    ran = here.run()
    assert {host["name"] for host in here.report["hosts"]} == {"here"}
    assert ran.ret == 1  # what this machine's MTU is does not matter here
    ran.stdout.fnmatch_lines(["*SHORTFALL no check looks at sw1*"])  # nothing is left out in silence


def test_a_switch_that_a_fact_wants_asked_is_refused(here: Project) -> None:
    here.hosts["sw1"] = {"ansible_connection": "ansible.netcommon.network_cli", "siteproof_link": {"mtu": 1500}}
    ran = here.run()
    assert ran.ret == 4
    ran.stderr.fnmatch_lines(
        [
            "*inventories/site/hosts.yml:*: sw1: ansible_connection is ansible.netcommon.network_cli; hosts are asked "
            "through ssh, local, docker, podman, kubectl, and inventories/site/hosts.yml:*: siteproof_link wants sw1 "
            "to be asked"
        ]
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (
            container("docker", ansible_docker_extra_args="--debug") | {"ansible_connection": "dokcer"},
            "inventories/site/hosts.yml:*: web: ansible_connection is dokcer; hosts are asked through ssh, local, "
            "docker, podman, kubectl; did you mean `docker`?",
        ),
        (
            container("podman", ansible_podman_executable="/no/such/podman"),
            "inventories/site/hosts.yml:*: web: ansible_podman_executable: podman://*web takes `/no/such/podman`, and "
            "there is none on this machine",
        ),
        (
            container("kubectl", ansible_kubectl_tokn="x"),
            "inventories/site/hosts.yml:*: web: ansible_kubectl_tokn is not understood, and it may say another way*",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_asked(here: Project, variables: dict[str, Any], says: str) -> None:
    here.hosts["web"] = variables
    before = here.sshd.logins()
    ran = here.run()
    assert ran.ret == 4
    ran.stderr.fnmatch_lines([f"*{says}"])
    assert here.sshd.logins() == before
    assert not (here.pytester.path / "reports").exists()
