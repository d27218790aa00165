"""The lab's commands on a real lab: idempotent, safe to interrupt, one sentence when they cannot."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_command import PROJECT, lab, lab_ok, needs_root, own_lab, start

from lab import paths

pytestmark = [pytest.mark.lab, needs_root]

NAME = "getent ahostsv4 forgejo.home.example | sed 's/ .*//;q'"


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    with own_lab("commands") as name:
        lab_ok(name, "up")
        yield name


def status(name: str) -> dict[str, object]:
    read: dict[str, object] = json.loads(lab(name, "status", "--json").stdout)
    return read


def on(name: str, host: str, script: str) -> str:
    return lab_ok(name, "exec", host, "--", "sh", "-c", script).strip()


def test_up_again_changes_nothing(name: str) -> None:
    before = (paths.run_dir(name) / "state.json").read_text()
    assert lab_ok(name, "up") == f"lab {name} is already up\n"
    assert (paths.run_dir(name) / "state.json").read_text() == before


def test_two_labs_with_the_same_addresses_run_side_by_side(name: str) -> None:
    with own_lab("second") as second:
        lab_ok(second, "up")
        assert on(name, "cp1", NAME) == on(second, "cp1", NAME) == "10.0.20.203"
        assert on(name, "cp1", "cat /etc/machine-id") != on(second, "cp1", "cat /etc/machine-id")
        lab_ok(second, "exec", "edge", "--", "nft", "flush", "ruleset")
        assert "nat reflection" in on(name, "edge", "nft list ruleset")
    assert on(name, "cp1", NAME) == "10.0.20.203"


def test_exec_is_the_host_and_gives_back_the_commands_status(name: str) -> None:
    assert on(name, "lan1", "hostname; id -u; systemctl is-system-running").split() == ["lan1", "0", "running"]
    assert lab(name, "exec", "lan1", "--", "sh", "-c", "exit 7").returncode == 7
    assert on(name, "operator", "hostname; cat /etc/resolv.conf; pwd").split("\n") == [
        "operator",
        "nameserver 10.0.20.1",
        str(PROJECT),
    ]


def test_the_operator_reaches_every_host_as_the_one_the_contract_names(name: str) -> None:
    config = paths.run_dir(name) / "ssh" / "config"
    for user, address, host in (
        ("root", "10.0.20.1", "edge"),
        ("root", "10.0.20.100", "cp1"),
        ("root", "10.0.20.30", "swarm1"),
        ("siteproof", "10.0.20.103", "worker1"),
        ("siteproof", "192.168.0.194", "lan1"),
        ("siteproof", "203.0.113.66", "outside"),
    ):
        line = f"ssh -o BatchMode=yes -F {config} {user}@{address} 'hostname; sudo -n id -u'"
        assert on(name, "operator", line).split() == [host, "0"]
    refused = lab(name, "exec", "operator", "--", "ssh", "-F", str(config), "root@10.0.20.103", "true")
    assert "Permission denied" in refused.stderr


@pytest.mark.parametrize("host", ["worker1", "edge", "swarm1", "isp2", "operator"])
def test_a_host_that_is_restarted_is_part_of_the_site_again(name: str, host: str) -> None:
    on(name, host, "true") if host == "operator" else on(name, host, "echo kept > /root/kept; touch /run/gone")
    lab_ok(name, "restart", host)
    if host != "operator":
        assert on(name, host, "cat /root/kept; ls /run/gone 2>/dev/null || echo gone") == "kept\ngone"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["exec", "workr1", "--", "true"], 4, "no host workr1 (did you mean worker1?)"),
        (["exec", "worker1"], 4, "there is no command"),
        (["restart", "nobody"], 4, "no host nobody"),
        (["break", "node-mtu-1499"], 4, "no fault node-mtu-1499 (did you mean node-mtu-1500?)"),
        (["break", "tools-exit-1", "--report", "/nowhere"], 3, "/nowhere has none"),
        (["frobnicate"], 4, "invalid choice"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(name: str, words: list[str], code: int, said: str) -> None:
    done = lab(name, *words)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert said in done.stderr
    assert done.stderr.startswith("lab: ")


def test_a_lab_that_is_not_up_says_how_to_get_it() -> None:
    done = lab("no-such-lab", "exec", "cp1", "--", "true")
    assert done.returncode == 3
    assert "python -m lab up --name no-such-lab" in done.stderr
    assert lab("no-such-lab", "down").stdout == "lab no-such-lab was not up\n"


def test_a_break_that_is_killed_half_way_is_known_and_can_be_healed(name: str) -> None:
    command = start(name, "break", "swarm-proxy-default-subnet")
    time.sleep(1)
    command.kill()
    command.wait()
    assert status(name)["broken"] == ["swarm-proxy-default-subnet"]
    assert lab_ok(name, "heal") == "nothing is broken\n"
    assert on(name, "swarm1", "docker network inspect proxy -f '{{json .IPAM.Config}}'").count("10.10.0.0/16") == 1
    assert status(name)["broken"] == []


def test_tools_that_are_replaced_come_back(name: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    tools = ["getent", "ip", "cat", "mount", "umount", "iptables", "sh", "not-installed"]
    report.write_text(json.dumps({"hosts": [{"name": "edge", "tools": tools}]}))
    before = on(name, "edge", "grep -c . /proc/self/mountinfo; iptables --version")
    for kind in ("print-help", "print-nothing", "exit-1"):
        lab_ok(name, "break", f"tools-{kind}", "--report", str(report))
    assert on(name, "edge", "getent hosts localhost || echo failed") == "failed"
    lab_ok(name, "heal", "tools-exit-1", "tools-print-help", "tools-print-nothing")
    assert on(name, "edge", "grep -c . /proc/self/mountinfo; iptables --version") == before


def test_a_host_that_does_not_come_up_whole_is_an_error_that_names_the_unit(name: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "lab", project / "lab")
    unit = project / "lab/daemons/units/listeners.service"
    unit.write_text(unit.read_text().replace("on-failure", "no").replace("/usr/bin/python3", "/usr/bin/false"))
    other = f"{name}-bad"
    done = lab(other, "up", project=project)
    assert done.returncode == 3
    assert "lab: lan1 is degraded: listeners.service" in done.stderr
    assert status(other)["phase"] == "down"
    assert not paths.run_dir(other).exists()
    assert not paths.cgroup(other).exists()


def test_a_lab_whose_holder_died_is_not_up_and_up_makes_a_new_one(name: str) -> None:
    state = json.loads((paths.run_dir(name) / "state.json").read_text())
    os.kill(state["holder"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while status(name)["phase"] != "dead":
        assert time.monotonic() < deadline
    assert lab(name, "exec", "cp1", "--", "true").returncode == 3
    assert " hosts in " in lab_ok(name, "up")
    assert json.loads((paths.run_dir(name) / "state.json").read_text())["nonce"] != state["nonce"]
