"""Scripts that create overlays, guards, and what is in a swarm's way, without any daemon."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
import recorded

from siteproof.analysis.addresses import use
from siteproof.analysis.swarm import Creation, creations, moving, out_of_order, overlapping, short, unreached
from siteproof.analysis.swarm_witness import CommandLine
from siteproof.errors import NoControl, Unparseable
from siteproof.facts.swarm import Overlay
from siteproof.probes.swarm.docker import OverlayNetwork
from siteproof.probes.swarm.docker_words import SwarmWords
from siteproof.probes.swarm.model import SwarmState, Unread
from siteproof.probes.swarm.overlay_ping import Pings

NIX = """\
  # docker network create --driver overlay --attachable --subnet 10.9.0.0/16 proxy
  script = ''
    docker network inspect proxy >/dev/null 2>&1 || \\
      docker network create --driver overlay --attachable \\
        --subnet 10.10.0.0/16 proxy
    docker network create --driver overlay other
  '';
""".splitlines()


def test_the_line_that_creates_an_overlay_is_found_beyond_comments_and_line_ends() -> None:
    assert creations(NIX, "proxy") == [Creation(3, IPv4Network("10.10.0.0/16"), hides_errors=False)]


@pytest.mark.parametrize(
    ("line", "subnet", "hides"),
    [
        ("docker network create --subnet=10.10.0.0/16 proxy", "10.10.0.0/16", False),
        ("docker network create --driver overlay --attachable proxy", None, False),
        ("docker network create --subnet 10.10.0.0/16 proxy || true", "10.10.0.0/16", True),
        ("docker network create --subnet 10.10.0.0/16 proxy 2>/dev/null", "10.10.0.0/16", True),
    ],
)
def test_what_a_line_creates(line: str, subnet: str | None, hides: bool) -> None:
    assert creations([line], "proxy") == [Creation(1, IPv4Network(subnet) if subnet else None, hides)]


@pytest.mark.parametrize(
    "line", ["docker network create proxy2", "docker network rm proxy", "# network create proxy", ""]
)
def test_other_lines_create_nothing(line: str) -> None:
    assert creations([line], "proxy") == []


def test_a_subnet_that_is_none_is_no_answer() -> None:
    with pytest.raises(Unparseable):
        creations(["docker network create --subnet $SUBNET proxy"], "proxy")


UPGRADE = ["set -e", "docker network prune -f", "# systemctl restart docker", "systemctl restart docker", "deploy"]


def test_steps_in_their_order_are_no_finding() -> None:
    assert out_of_order(UPGRADE, ["prune", "restart docker"], "deploy") == []


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ([line for line in UPGRADE if not line.startswith("systemctl")], ["restart docker"]),  # the comment is no step
        ([UPGRADE[3], UPGRADE[1], UPGRADE[4]], ["restart docker"]),
        ([UPGRADE[4], *UPGRADE[:4]], ["prune", "restart docker"]),
    ],
)
def test_a_step_that_is_gone_or_late_is_named(script: list[str], missing: list[str]) -> None:
    assert out_of_order(script, ["prune", "restart docker"], "deploy") == missing


def test_a_script_without_the_guarded_line_says_nothing() -> None:
    with pytest.raises(Unparseable):
        out_of_order(UPGRADE[:-1], ["prune"], "deploy")


DEAD = {
    "a comment behind a command": "docker info # systemctl restart docker",
    "an echo": 'echo "systemctl restart docker"',
    "an echo to a file": "printf '%s' 'systemctl restart docker' >/run/log",
    "a string": 'message="systemctl restart docker"',
    "a here-document": "cat <<END\nsystemctl restart docker\nEND",
    "a here-document of none": ": <<'END'\nsystemctl restart docker\nEND",
    "a branch of false": "if false; then systemctl restart docker; fi",
    "a branch that is never equal": "if [ 1 = 2 ]; then\nsystemctl restart docker\nfi",
    "the other branch of true": "if true; then docker info; else systemctl restart docker; fi",
    "behind false": "false && systemctl restart docker",
    "behind true": "true || systemctl restart docker",
    "a loop that never runs": "while false; do systemctl restart docker; done",
    "a function that says it": 'say() { echo "$*"; }\nsay systemctl restart docker',
    "an alias": "alias again='systemctl restart docker'",
    "a function that nobody calls": "again() { systemctl restart docker; }",
    "behind an exit": "again() { return 0; systemctl restart docker; }\nagain",
    "behind the exit of a subshell": "(exit 0; systemctl restart docker)",
    "arithmetic that is 0": "(( 0 )) && systemctl restart docker",
}


@pytest.mark.parametrize("dead", DEAD.values(), ids=DEAD)
def test_a_step_that_is_only_mentioned_is_not_there(dead: str) -> None:
    script = ["#!/bin/sh", "docker network prune -f", *dead.split("\n"), "deploy"]
    assert out_of_order(script, ["prune", "systemctl restart docker"], "deploy") == ["systemctl restart docker"]


ALIVE = {
    "on a condition": 'if journalctl | grep -q "no IP"; then systemctl restart docker; fi',
    "over two lines": "systemctl \\\n  restart docker",
    "with quotes": 'systemctl "restart" docker',
    "in a function that is called": "again() { systemctl restart docker; }\nagain",
    "by sudo": "sudo -n systemctl restart docker",
    "behind another": "docker info && systemctl restart docker || exit 1",
    "substituted": "said=$(systemctl restart docker) || exit",
    "in a loop": "for host in a b; do systemctl restart docker; done",
    "in a subshell": "(systemctl restart docker)",
    "behind a here-document": "cat <<END && systemctl restart docker\nEND",
    "in a branch of true": "if true; then systemctl restart docker; fi",
    "after an exit on a condition": '[ -n "$x" ] || exit 1\nsystemctl restart docker',
    "by a function that runs its words": 'run() { echo "+ $*"; "$@"; }\nrun systemctl restart docker',
    "in a case": "case $1 in a) systemctl restart docker ;; esac",
}


@pytest.mark.parametrize("alive", ALIVE.values(), ids=ALIVE)
def test_a_step_that_is_executed_is_there(alive: str) -> None:
    script = ["#!/bin/bash", "docker network prune -f", *alive.split("\n"), "deploy"]
    assert out_of_order(script, ["prune", "systemctl restart docker"], "deploy") == []


@pytest.mark.parametrize(
    "hidden",
    [
        'run="systemctl restart docker"\n$run',
        "trap 'systemctl restart docker' EXIT",
        ". /etc/steps.sh",
        "source steps",
    ],
)
def test_where_a_step_may_be_hidden_nobody_knows(hidden: str) -> None:
    with pytest.raises(Unparseable, match="hides"):
        out_of_order([*hidden.split("\n"), "deploy"], ["systemctl restart docker", "prune"], "deploy")


@pytest.mark.parametrize(
    "script",
    [
        ["#!/usr/bin/env python3", "prune", "deploy"],
        ["if then", "prune", "deploy"],
        ["exit 0", "prune", "deploy"],
        ["echo deploy"],
        ["a() { b; }", "b() { a; }", "a", "prune", "deploy"],
    ],
)
def test_a_script_that_does_not_say_is_no_answer(script: list[str]) -> None:
    with pytest.raises(Unparseable):
        out_of_order(script, ["prune"], "deploy")


def test_a_script_that_is_broken_lacks_what_it_does_not_even_mention() -> None:
    broken = ["if x; then", "  # systemctl restart docker", "fi", "deploy"]
    assert out_of_order(broken, ["systemctl restart docker"], "deploy") == ["systemctl restart docker"]
    with pytest.raises(Unparseable):
        out_of_order(["if x; then", "fi", "prune", "deploy )"], ["prune"], "deploy")


def test_a_script_creates_only_what_it_executes() -> None:
    create = "docker network create --subnet 10.10.0.0/16 proxy"
    assert creations(["#!/bin/sh", "if false; then", create, "fi"], "proxy") == []
    assert creations(["#!/bin/sh", "cat <<X", create, "X"], "proxy") == []
    assert creations(["#!/bin/sh", f"echo {create}"], "proxy") == creations([f"  echo {create}"], "proxy") == []
    assert len(creations(["#!/bin/sh", "x || \\", f"  {create} || true"], "proxy")) == 1


def swarm(name: str) -> SwarmState:
    state: SwarmState = recorded.load(recorded.DIRECTORY / f"dockerapi/{name}.toml").read()
    return state


def test_what_has_ended_is_not_missing() -> None:
    assert short(swarm("dockerapi-27.3-completed-job")) == moving(swarm("dockerapi-27.3-completed-job")) == {}
    assert short(swarm("dockerapi-25.0-one-shots")) == {"web": "1 of 2 tasks run"}
    assert moving(swarm("dockerapi-25.0-one-shots")) == {"web": "1 of 2 tasks run"}


def test_a_job_at_work_moves_and_one_that_waits_is_short() -> None:
    done = swarm("dockerapi-27.3-completed-job")
    (task, *others) = done.tasks

    def when(state: str) -> SwarmState:
        return replace(done, tasks=(replace(task, state=state, desired="complete"), *others))

    assert short(when("running")) == {}
    assert moving(when("running")) == {"nightly-backup": "a task is running and shall be complete"}
    assert short(when("pending")) == {"nightly-backup": "1 tasks of the job wait: pending"}
    assert replace(task, state="new", desired="complete", node="").waits_for_the_allocator


def test_what_could_not_be_read_is_unknown_only_where_it_counts() -> None:
    done = swarm("dockerapi-27.3-completed-job")
    network = done.overlay("proxy")
    odd = replace(done, unread=(Unread("services", "x", '{"NetworkID": "other"}', "x is odd"),))
    assert use(odd, network, ()).visible == use(done, network, ()).visible
    for function in (short, moving):
        with pytest.raises(Unparseable, match="x is odd"):
            function(odd)
    touching = replace(done, unread=(Unread("tasks", "", network.id, "a task on it is odd"),))
    with pytest.raises(Unparseable, match="a task on it"):
        use(touching, network, ())


def test_an_address_of_ipv6_is_not_counted_and_hides_nothing() -> None:
    state = swarm("dockerapi-27.3-ipv6-task")
    network = state.overlay("ipv6-testnet")
    assert (use(state, network, ()).visible, state.tasks[0].addresses_on(network.id)) == (0, ())


def test_a_bridge_of_an_overlays_name_is_another_network() -> None:
    overlay = Overlay(name="proxy", subnet=IPv4Network("10.10.0.0/16"), attachable=True, min_free_ratio=0.5)
    own = swarm("dockerapi-27.3-completed-job").overlay("proxy")
    bridge = replace(own, driver="bridge", of_swarm=False, subnets=(IPv4Network("10.10.7.0/24"),))
    assert overlapping(overlay, {"a": ([own], []), "b": ([bridge], [])}) == {"b: network proxy": "10.10.7.0/24"}


def test_the_command_line_and_the_api_say_the_same() -> None:
    state = swarm("dockerapi-27.3-completed-job")
    words = SwarmWords({state.node: ("ready", "active")}, {"nightly-backup": (0, 1), "web": (1, 1)})
    (network,) = (n for n in state.networks if n.of_swarm)
    lines = CommandLine(words, (OverlayNetwork(network.id[:12], "proxy", True, network.subnets),))
    assert lines.shares(state)
    yesterday = replace(words, services={"nightly-backup": (0, 1), "web": (0, 1)})
    assert not replace(lines, words=yesterday).shares(state)
    assert not replace(lines, overlays=()).shares(state)
    assert not replace(lines, words=replace(words, nodes={state.node: ("ready", "drain")})).shares(state)


def test_silence_on_an_overlay_without_anyone_to_send_is_no_answer() -> None:
    with pytest.raises(NoControl):
        unreached({"a": Pings(None, {}), "b": Pings(None, {})}, ())
