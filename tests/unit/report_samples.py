"""Made-up runs for the tests of the reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from siteproof.results import EvidenceRef, HostResult, Result, Run, Verdict

PUBLIC = "198.51.100.76"
DOWN = "no connection within 5 s (10.0.20.103:22)"


def result(id: str, subject: str, verdict: Verdict = Verdict.HELD, **fields: Any) -> Result:
    known: dict[str, Any] = {
        "check": f"The sentence of {id}.",
        "host": subject.partition("-")[0],
        "severity": "high",
        "probe_class": "reads",
        "nodeid": f"tests_infra/test_x.py::test_x[{subject}]",
        "remedy": f"the remedy of {id}",
        "incident": f"the incident of {id}",
        "duration_s": 0.01,
    }
    return Result(id=id, subject=subject, verdict=verdict, **(known | fields))


def evidence(host: str, probe: str, shown: str) -> EvidenceRef:
    return EvidenceRef(host, probe, f"evidence/{host}.jsonl", "0123456789abcdef01234567", shown)


def mtu(host: str, is_now: int = 1500, **fields: Any) -> Result:
    known: dict[str, Any] = {
        "message": f"seen eth0: {is_now}, expected eth0: 1400",
        "expected": "eth0: 1400",
        "seen": f"eth0: {is_now}",
        "declared_at": "inventories/lab/group_vars/nodes.yml:12",
        "evidence": (evidence(host, "ip -j link", f'[{{"ifname": "eth0", "mtu": {is_now}}}]'),),
    }
    return result("mtu-node", host, Verdict.VIOLATED, **(known | fields))


def strayed(host: str, name: str, **fields: Any) -> Result:
    known: dict[str, Any] = {
        "severity": "critical",
        "message": f"seen getent: {PUBLIC}, expected getent: 10.0.20.203",
        "expected": "getent: 10.0.20.203\nserver 10.0.20.1: 10.0.20.203",
        "seen": f"getent: {PUBLIC}\nserver 10.0.20.1: {PUBLIC}",
    }
    return result("dns-split-answer", f"{host}-{name}", Verdict.VIOLATED, **(known | fields))


def unreachable(id: str, subject: str) -> Result:
    return result(id, subject, Verdict.UNKNOWN, message=DOWN, blocked_by=DOWN)


def host(name: str, error: str | None = None) -> HostResult:
    return HostResult(name, error is None, error, {"hostname": name}, 1.0, ("ip",), "root")


def run(*results: Result, **fields: Any) -> Run:
    made = Run(
        started="2026-11-20T02:00:00.000Z",
        finished="2026-11-20T02:00:04.200Z",
        inventory="inventories/lab",
        directory="reports/20261120T020000.000Z-7",
        planned=len(results),
        results=results,
        hosts=(),
    )
    return replace(made, **fields)


def varied() -> Run:
    """Something of everything."""
    return run(
        mtu("cp1"),
        strayed("cp1", "home.example"),
        result(
            "pull-live-no-public",
            "cp1",
            Verdict.VIOLATED,
            message="x",
            follows_from="dns-split-answer[cp1-home.example]",
        ),
        unreachable("mtu-node", "worker1"),
        result("swarm-proxy-subnet", "swarm1-proxy", Verdict.WAIVED, waiver="viktor, until 2026-12-24: next window"),
        result("edge-no-dmz-outside", "outside", Verdict.NOT_APPLICABLE, message="no outside vantage point yet"),
        result("mtu-node", "swarm1", attempts=3),
        hosts=(host("cp1"), host("worker1", DOWN)),
        planned=8,
        shortfalls=("planned and not judged: mtu-node[lan1]",),
        remarks=("a waiver was not needed",),
    )
