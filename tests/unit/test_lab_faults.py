"""The lab's faults as data, and the comparison that proves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import topology
from lab.errors import LabError, UsageError
from lab.faults import Fault, FaultError, choose, load, matches, parse
from lab.prove import Proof, compare
from lab.suite import Report, Result

SITE = topology.load()
FAULT = """
[node-mtu]
does = "worker1 is back at 1500"
incident = "network stabilization plan"
break = [{ on = "worker1", run = "ip link set eth0 mtu 1500" }]
heal = [{ on = ["worker1", "cp1"], run = "ip link set eth0 mtu 1400" }]
healed = { on = "worker1", run = "true" }
expect = { "mtu-node[worker1]" = "violated", "dns-*[worker1-*]" = "unknown" }
evidence = { "mtu-node[*]" = "1500" }
"""


def fault() -> Fault:
    return parse(FAULT, SITE)["node-mtu"]


def report(exit_code: int, **verdicts: str) -> Report:
    results = {}
    for name, verdict in {"mtu": "held", "dns": "held", "other": "held", **verdicts}.items():
        key = {"mtu": "mtu-node[worker1]", "dns": "dns-split[worker1-a.example]", "other": "mtu-node[cp1]"}[name]
        verdict, _, text = verdict.partition(":")
        results[key] = Result(key, key.partition("[")[0], verdict, "the message", text or "1500")
    return Report(Path("report.json"), exit_code, results)


def test_the_shipped_faults_are_valid() -> None:
    assert {"edge-dmz", "pmtu-black-hole", "tools-print-help", "worker1-down"} <= load(SITE).keys()


def test_a_fault_is_read_as_it_is_written() -> None:
    read = fault()
    assert read.breaks[0].hosts == ("worker1",)
    assert read.heals[0].hosts == ("worker1", "cp1")
    assert read.broken is None
    assert read.healed is not None
    assert not read.needs_tools


@pytest.mark.parametrize(
    ("result", "pattern", "same"),
    [
        ("mtu-node[worker1]", "mtu-node[worker1]", True),
        ("mtu-node[worker1]", "mtu-node[*]", True),
        ("mtu-node[worker1]", "mtu-node[worker]", False),
        ("mtu-node[w]", "mtu-node[worker1]", False),
        ("dns-split[worker1-a.example]", "*[worker1-*]", True),
        ("dns-split[worker1-a.example]", "*[worker1]", False),
        ("dns-split[cp1-worker1-a]", "*[worker1-*]", False),
        ("anything[at all]", "*", True),
    ],
)
def test_brackets_in_a_pattern_stand_for_themselves(result: str, pattern: str, same: bool) -> None:
    assert matches(result, pattern) is same


REFUSED = [
    ('"worker1", run = "ip link set eth0 mtu 1500"', '"worker2", run = "x"', r"no host worker2 \(did you mean worker1"),
    ('run = "ip link set eth0 mtu 1500"', 'ran = "x"', "node-mtu.break.ran: unknown key"),
    ('run = "ip link set eth0 mtu 1500"', 'run = "x", shim = "exit-1"', "node-mtu.break: a step has `on` and one of"),
    ('run = "ip link set eth0 mtu 1500"', 'shim = "exit-2"', "node-mtu.break.shim: exit-2 is not one of"),
    ('run = "ip link set eth0 mtu 1500"', 'restore = ["/etc/x"]', "break.restore: worker1 has no /etc/x"),
    ('= "violated"', '= "failed"', "expect.*: failed is not one of violated, unknown"),
    ("does =", "dose =", r"node-mtu.dose: unknown key \(did you mean does\?\)"),
    ('incident = "network stabilization plan"\n', "", "node-mtu.incident: missing"),
    ('"1500" }', '"15(00" }', "node-mtu.evidence"),
]


@pytest.mark.parametrize(("old", "new", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
def test_a_wrong_fault_is_refused_in_one_sentence_that_names_the_key(old: str, new: str, said: str) -> None:
    assert old in FAULT
    with pytest.raises(FaultError, match=said):
        parse(FAULT.replace(old, new, 1), SITE)


def test_an_unknown_fault_is_bad_usage_and_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no fault node-mut .did you mean node-mtu") as refused:
        choose({"node-mtu": fault()}, ["node-mut"])
    assert refused.value.status == 4
    assert LabError.status == 3


def proven(broken: Report, healthy: Report | None = None) -> Proof:
    proof = Proof(fault())
    compare(proof, healthy or report(0), broken)
    return proof


def test_a_fault_is_proven_when_exactly_what_it_names_is_not_held() -> None:
    proof = proven(report(1, mtu="violated", dns="unknown"))
    assert proof.ok
    assert proof.expected == proof.got == {"mtu-node[worker1]": "violated", "dns-split[worker1-a.example]": "unknown"}
    assert proof.as_json()["id"] == "node-mtu"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (report(1, dns="unknown"), "mtu-node.worker1. is held, expected violated: the message"),
        (report(1, mtu="unknown", dns="unknown"), "mtu-node.worker1. is unknown, expected violated"),
        (report(1, mtu="violated", dns="unknown", other="violated"), "mtu-node.cp1. is violated, expected held"),
        (report(1, mtu="violated:1400", dns="unknown"), "nothing of mtu-node.worker1. matches '1500'"),
        (report(6, mtu="violated", dns="unknown"), "exit code is 6, expected 1"),
    ],
)
def test_a_fault_is_not_proven_by_anything_else(broken: Report, said: str) -> None:
    assert any(
        said.replace(".worker1.", "[worker1]").replace(".cp1.", "[cp1]") in d for d in proven(broken).differences
    )


def test_a_result_that_is_gone_while_broken_is_a_difference() -> None:
    broken = report(1, mtu="violated", dns="unknown")
    del broken.results["mtu-node[cp1]"]
    assert proven(broken).differences == ["broken: mtu-node[cp1] is missing, expected held"]


def test_a_pattern_that_names_no_result_proves_nothing() -> None:
    healthy, broken = report(0), report(1, mtu="violated")
    del healthy.results["dns-split[worker1-a.example]"], broken.results["dns-split[worker1-a.example]"]
    assert proven(broken, healthy).differences == ["expected: dns-*[worker1-*] names no result of the healthy run"]
