"""What the operator reads at the end of a run."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import report_samples as made

from siteproof.report import terminal
from siteproof.results import Result, Run, Verdict


def lines(run: Run, width: int = 100, *, colour: bool = False, verbose: int = 0) -> list[str]:
    return terminal.lines(run, width=width, colour=colour, verbose=verbose)


def text(run: Run, width: int = 100, verbose: int = 0) -> str:
    return "\n".join(lines(run, width, verbose=verbose))


def blocks(run: Run) -> list[str]:
    return text(run).split("\n\n")


def held(count: int) -> tuple[Result, ...]:
    return tuple(made.result("mtu-node", f"node{n}") for n in range(count))


def test_a_run_where_everything_held_says_so_in_two_lines() -> None:
    assert lines(made.run(*held(21))) == [
        "21 planned: 21 held   in 4.2 s   exit 0",
        "report reports/20261120T020000.000Z-7/report.html",
    ]


def test_a_finding_has_what_an_operator_needs() -> None:
    block = blocks(made.run(made.mtu("worker1", notes=("a note",)), *held(1)))[0].splitlines()
    assert block == [
        "VIOLATED  mtu-node[worker1]  high",
        "          The sentence of mtu-node.",
        "host      worker1",
        "expected  eth0: 1400",
        "          declared at inventories/lab/group_vars/nodes.yml:12",
        "seen      eth0: 1500",
        "evidence  ip -j link",
        '            [{"ifname": "eth0", "mtu": 1500}]',
        "remedy    the remedy of mtu-node",
        "incident  the incident of mtu-node",
        "note      a note",
    ]


def test_the_message_stands_where_there_are_no_two_sides() -> None:
    stalled = made.mtu("cp1", message="connected, then stalled", expected=None, seen=None, declared_at=None)
    block = blocks(made.run(stalled))[0]
    assert "connected, then stalled" in block
    assert "expected" not in block


def test_findings_come_by_severity_then_unknown_then_the_rest_then_one_line() -> None:
    said = text(made.varied())
    marks = [
        "dns-split-answer",
        "mtu-node[cp1]",
        "UNKNOWN",
        "WAIVED",
        "SHORTFALL",
        "remark",
        "planned:",
        "report reports",
    ]
    assert [said.index(mark) for mark in marks] == sorted(said.index(mark) for mark in marks)


def test_the_summary_counts_everything() -> None:
    assert lines(made.varied())[-2] == (
        "8 planned: 1 held · 3 violated · 1 unknown · 1 waived · 1 not applicable · 1 not judged   in 4.2 s   exit 1"
    )


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (made.run(*held(1)), "exit 0"),
        (made.run(made.mtu("cp1")), "exit 1"),
        (made.run(made.unreachable("mtu-node", "cp1")), "exit 6"),
        (made.run(*held(1), planned=2), "exit 7: coverage falls short"),
        (made.run(*held(1), shortfalls=("swarm: not declared",)), "exit 7: coverage falls short"),
        (made.run(made.mtu("cp1"), pytest_exit=2), "exit 2: the run was interrupted"),
        (made.run(pytest_exit=5), "exit 5: there was nothing to check"),
        (made.run(made.result("a", "b", Verdict.WAIVED, waiver="w"), gate=True), "exit 1: a gate accepts no waiver"),
        (made.run(made.result("a", "b", Verdict.WAIVED, waiver="w")), "exit 0"),
        (made.run(*held(1), pytest_exit=1), "exit 3: the run failed inside"),
    ],
)
def test_the_exit_code_is_said_with_its_reason_where_no_count_says_it(run: Run, words: str) -> None:
    summary = lines(run)[-2]
    assert summary.endswith(f"   {words}")
    assert words.split()[1].rstrip(":") == str(int(run.exit_code))


def test_what_follows_from_a_finding_is_named_under_it_and_not_shouted() -> None:
    first, *others = blocks(made.varied())
    assert first.splitlines()[0] == "VIOLATED  dns-split-answer[cp1-home.example]  critical"
    assert first.splitlines()[-1] == "also      because of this: pull-live-no-public[cp1]"
    assert not any("pull-live-no-public" in block for block in others)


@pytest.mark.parametrize("above", ["gone[x]", "a[1]", "b[1]"])
def test_a_violation_hides_only_under_a_violation(above: str) -> None:
    """Also not in a circle: `a` follows from `b`, which follows from `a` or from itself or from nothing known."""
    a = made.result("a", "1", Verdict.VIOLATED, follows_from="b[1]")
    b = made.result("b", "1", Verdict.VIOLATED, follows_from=above)
    said = text(made.run(a, b))
    assert "b[1]" in re.findall(r"VIOLATED  (\S+)", said)
    assert "a[1]" in said
    waived = text(made.run(a, replace(b, verdict=Verdict.WAIVED, waiver="w")))
    assert re.findall(r"VIOLATED  (\S+)", waived) == ["a[1]"]


def test_a_chain_is_named_under_its_root() -> None:
    root = made.result("root", "1", Verdict.VIOLATED)
    middle = made.result("middle", "1", Verdict.VIOLATED, follows_from="root[1]")
    last = made.result("last", "1", Verdict.VIOLATED, follows_from="middle[1]")
    said = text(made.run(last, middle, root))
    assert "also      because of this: last[1], middle[1]" in said
    assert said.count("VIOLATED") == 1


def test_one_fault_on_several_hosts_reads_as_one_finding() -> None:
    found = blocks(made.run(made.mtu("cp1"), made.mtu("worker1"), made.mtu("swarm1", 9000)))[0]
    assert found.splitlines()[0] == "VIOLATED  mtu-node on 3 subjects  high"
    assert "hosts     cp1, worker1, swarm1" in found
    assert found.count("eth0: 1400") == 1
    assert "seen      eth0: 1500  (cp1 and 1 more)\n          eth0: 9000  (swarm1)" in found


def test_messages_that_differ_in_names_and_numbers_only_are_one_finding() -> None:
    said = {"cp1": "cp1 stalled after 12 s at 203.0.113.10", "cp2": "cp2 stalled after 9 s at 203.0.113.7"}
    same = [made.mtu(h, message=m, expected=None, seen=None) for h, m in said.items()]
    other = made.mtu("cp3", message="refused", expected=None, seen=None)
    assert text(made.run(*same, other)).count("VIOLATED") == 2


def test_twelve_results_of_one_resolver_are_one_finding_with_every_subject() -> None:
    names = ("home.example", "forgejo.home.example", "immich.home.example", "mail.home.example")
    found = [made.strayed(host, name) for host in ("cp1", "worker1", "swarm1") for name in names]
    said = text(made.run(*found), verbose=1)
    assert said.count("VIOLATED") == 1
    assert all(result.subject in said for result in found)


def test_unknowns_stand_together_under_their_one_cause() -> None:
    down = [made.unreachable("mtu-node", "worker1"), made.unreachable("dns-split-answer", "worker1-home.example")]
    other = made.result("edge-no-dmz-config", "edge", Verdict.UNKNOWN, message="nft printed no JSON")
    run = made.run(other, *down, hosts=(made.host("worker1", made.DOWN),))
    first, second, *_ = blocks(run)
    assert first.splitlines() == [
        f"UNKNOWN   worker1: {made.DOWN} — 2 results unknown",
        "          mtu-node[worker1], dns-split-answer[worker1-home.example]",
    ]
    assert second.startswith("UNKNOWN   edge: nft printed no JSON — 1 result unknown")
    assert text(run).count(made.DOWN) == 1


def test_one_cause_on_several_hosts_is_said_once() -> None:
    broken = [made.result("mtu-node", h, Verdict.UNKNOWN, message="ip printed help") for h in ("cp1", "cp2")]
    assert "UNKNOWN   cp1, cp2: ip printed help — 2 results unknown" in text(made.run(*broken))


def test_a_cause_that_names_its_host_is_not_given_it_twice() -> None:
    broken = made.result("mtu-node", "cp1", Verdict.UNKNOWN, message="no key of cp1 in known_hosts")
    assert "UNKNOWN   no key of cp1 in known_hosts" in text(made.run(broken))


def test_an_unknown_result_shows_what_the_tool_printed() -> None:
    help_text = made.evidence("cp1", "ip -j link", "Usage: ip [ OPTIONS ]")
    broken = made.result("mtu-node", "cp1", Verdict.UNKNOWN, message="ip printed no JSON", evidence=(help_text,))
    assert "evidence  ip -j link\n            Usage: ip [ OPTIONS ]" in text(made.run(broken))


def test_a_troubled_host_that_no_result_speaks_of_is_said() -> None:
    assert "HOST      spare: sudo wants a password" in text(
        made.run(*held(1), hosts=(made.host("spare", "sudo wants a password"),))
    )


def test_a_shortfall_is_said_even_if_nobody_worded_it() -> None:
    assert "SHORTFALL 3 results were planned, 1 were judged" in text(made.run(*held(1), planned=3))


def test_held_with_a_remark_is_said() -> None:
    said = text(made.run(made.result("mtu-node", "cp1", attempts=3, notes=("a mirror wastes four requests",))))
    assert "note      mtu-node[cp1]: held on the third try" in said
    assert "note      mtu-node[cp1]: a mirror wastes four requests" in said


def test_the_evidence_shown_is_the_part_that_tells() -> None:
    filler = "\n".join(f"line {n} of something else" for n in range(40))
    refs = (
        made.evidence("cp1", "first", filler),
        made.evidence("cp1", "second", filler),
        made.evidence("cp1", "telling", f"{filler}\n{'x' * 300} mtu 1500 {'y' * 300}\n{filler}"),
    )
    found = lines(made.run(made.mtu("cp1", evidence=refs)))
    assert any("1500 yyy" in line for line in found)
    assert not any("second" in line for line in found)


@pytest.mark.parametrize("width", [20, 40, 80, 100, 300])
def test_a_huge_finding_keeps_to_its_lines_and_to_the_width(width: int) -> None:
    long = "word " * 400 + "x" * 1000
    many = [
        made.mtu(f"node{n}", check=long, message=long, seen=f"{long}{n}", expected=long, remedy=long, incident=long,
                 notes=(f"{n}{long}",), declared_at=f"{long}:{n}",
                 evidence=(made.evidence("node1", long, f"{long}\n" * 50),))
        for n in range(30)
    ]  # fmt: skip
    block = blocks(made.run(*many))[0]
    assert all(len(line) <= max(40, width) for line in lines(made.run(*many), width)[:-2])
    assert len(block.splitlines()) <= 25


def test_what_a_host_sent_cannot_repaint_the_terminal() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\u202eevil\x9b1m\r"
    everywhere = made.mtu(
        f"cp1{hostile}",
        message=hostile,
        seen=hostile,
        expected=hostile,
        notes=(hostile,),
        evidence=(made.evidence("cp1", hostile, hostile),),
    )
    unknown = made.result("x", "y", Verdict.UNKNOWN, message=hostile)
    run = made.run(
        everywhere, unknown, planned=4, remarks=(hostile,), shortfalls=(hostile,), hosts=(made.host("h", hostile),)
    )
    said = text(run, verbose=1)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)
    assert r"\x1b[2J" in said


def test_colour_changes_nothing_but_colour() -> None:
    painted = lines(made.varied(), colour=True)
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted] == lines(made.varied())
    assert any("\x1b[1;31mVIOLATED\x1b[0m" in line for line in painted)


@pytest.mark.parametrize("less", [0, -1, -2])
def test_verbose_shows_what_is_cut_else(less: int) -> None:
    shown = made.evidence("cp1", "ip", "\n".join(f"mtu 1500 number {n}" for n in range(12)))
    run = made.run(
        made.mtu("cp1", evidence=(shown,)), made.result("a", "b", Verdict.NOT_APPLICABLE, message="no swarm here")
    )
    assert "number 11" not in text(run, verbose=less)  # -1 is `-q`
    assert "number 11" in text(run, verbose=1)
    assert "no swarm here" not in text(run, verbose=less)
    assert "no swarm here" in text(run, verbose=1)
