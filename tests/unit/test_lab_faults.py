"""The lab's faults as data: what they are refused for, what they expect, and the comparison that proves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab import steps, topology
from lab.errors import LabError, UsageError
from lab.faults import Expected, Fault, Written, choose, load, matches, parse
from lab.following import Plan, Planned, from_register
from lab.prove import Proof, compare, together
from lab.steps import FaultError
from lab.suite import Report, Result

SITE = topology.load()
FAULT = """
[node-mtu]
does = "worker1 is back at 1500"
incident = "network stabilization plan"
break = { on = "worker1", run = "ip link set eth0 mtu 1500" }
heal = [{ on = ["worker1", "cp1"], run = "ip link set eth0 mtu 1400" }]
healed = { on = "worker1", run = "true" }
roots = { "mtu-node[worker1]" = "violated", "dns-*[worker1-*]" = "unknown" }
evidence = { "mtu-node[*]" = "1500" }
"""
NAMED = steps.parse_named("""
[link-mtu]
takes = ["mtu"]
break = { run = "ip link set eth0 mtu @{mtu}" }
broken = { run = "ip link show eth0 | grep @{mtu}" }
heal = [{ on = "edge", run = "true" }, { run = "ip link set eth0 mtu 1400" }]
[says]
takes = ["lines"]
heal = { on = "edge", run = "printf '%s' @{lines}" }
""")
USING = """
[node-mtu]
does = "worker1 is at 1300"
incident = "network stabilization plan"
break = [{ on = "cp1", run = "true" }, { use = "link-mtu", on = ["worker1", "cp1"], mtu = "1300" }]
heal = [{ use = "says", lines = ["it's", "over"] }, { on = "cp1", run = "false" }]
roots = "mtu-node[worker1]"
"""


def fault() -> Fault:
    return parse(FAULT, SITE)["node-mtu"]


def report(exit_code: int, **verdicts: str) -> Report:
    results = {}
    for name, verdict in {"mtu": "held", "dns": "held", "other": "held", **verdicts}.items():
        key = {"mtu": "mtu-node[worker1]", "dns": "dns-split[worker1-a.example]", "other": "mtu-node[cp1]"}[name]
        verdict, _, text = verdict.partition(":")
        host = "cp1" if name == "other" else "worker1"
        results[key] = Result(key, key.partition("[")[0], f"t.py::{key}", host, verdict, "the message", text or "1500")
    return Report(Path("report.json"), exit_code, results)


def test_the_shipped_faults_are_valid_and_know_what_they_break() -> None:
    shipped = load(SITE).by_id
    assert {"edge-dmz", "pmtu-black-hole", "tools-print-help", "worker1-down"} <= shipped.keys()
    assert shipped["pmtu-black-hole"].subject == "path"


@pytest.mark.parametrize("site", topology.sites())
def test_every_named_step_is_used_and_no_site_repeats_one(site: str) -> None:
    written = Written.of(site=site)
    text = "\n".join([*written.faults.values(), written.steps, written.site_steps])
    own, shared = steps.parse_named(written.site_steps), steps.parse_named(written.steps)
    assert [name for name in (*own, *shared) if f'use = "{name}"' not in text] == []
    assert [name for name in own if own[name] == shared.get(name)] == []


def test_every_site_has_every_fault_or_says_why_not() -> None:
    every = {site: load(topology.load(site)) for site in topology.sites()}
    assert len({frozenset([*known.by_id, *known.absent]) for known in every.values()}) == 1
    assert not every["lab"].absent


def test_a_fault_is_of_roles_and_in_the_words_of_its_site() -> None:
    text = """
[moved]
does = "@{worker} takes @{registry} for @{front_address}"
incident = "pull hairpin"
break = [
  { on = "role:authorities", run = "echo @{registry} at @{front_address}" },
  { use = "pins", on = "role:worker" },
]
roots = "dns-split-answer[@{worker}-@{registry}]"
evidence = { "dns-split-answer[@{worker}-*]" = '@{front_address}|none' }
"""
    named = steps.parse_named("""
[pins]
break = { use = "writes", text = "@{registry}" }
[writes]
takes = ["text"]
break = { run = "echo @{text}" }
heal = { run = "rm @{text}" }
""")
    read = parse(text, SITE, named)["moved"]
    assert read.does == "worker1 takes forgejo.home.example for 10.0.20.203"
    assert [(s.hosts, s.run) for s in read.steps.breaks] == [
        (("dns", "dns2"), "echo forgejo.home.example at 10.0.20.203"),
        (("worker1",), "echo forgejo.home.example"),
    ]
    assert [(s.hosts, s.run) for s in read.steps.heals] == [(("worker1",), "rm forgejo.home.example")]
    assert list(read.roots) == ["dns-split-answer[worker1-forgejo.home.example]"]
    assert read.evidence == {"dns-split-answer[worker1-*]": r"10\.0\.20\.203|none"}
    for old, new, said in (
        ("role:worker", "role:wrker", r"moved.break.pins.break.writes.break.on: no role wrker \(did you mean worker"),
        ("@{registry} at", "@{registr} at", "moved.break.run: @{registr} names no address"),
        ('"dns-split-answer[@{worker}-@{registry}]"', '"dns[@{nobody}]"', "moved.roots: @{nobody} names no address"),
    ):
        with pytest.raises(FaultError, match=said):
            parse(text.replace(old, new), SITE, named)


def test_a_named_step_that_uses_itself_is_refused() -> None:
    named = steps.parse_named('[a]\nbreak = { use = "b" }\n[b]\nbreak = { use = "a" }\nheal = { run = "x" }')
    with pytest.raises(FaultError, match="use: a uses itself"):
        parse(
            FAULT.replace("break = {", 'break = [{ use = "a" }, {').replace('1500" }\nheal', '1500" }]\nheal'),
            SITE,
            named,
        )


def test_a_fault_that_a_site_cannot_have_says_why() -> None:
    absent = FAULT + 'not_on = { lab = "it has no such link" }\n'
    known = load(SITE, Written({"path": absent}, "", ""))
    assert not known.by_id
    assert known.absent == {"node-mtu": "it has no such link"}
    for old, new, said in (
        ("lab =", "lba =", r"faults/path.toml: node-mtu.not_on.lba: no such site \(did you mean lab\?\)"),
        ('"it has no such link"', '""', "node-mtu.not_on.lab: a reason, in words"),
        ("{ lab = ", '"lab" #', "node-mtu.not_on: a table of sites"),
    ):
        with pytest.raises(FaultError, match=said):
            load(SITE, Written({"path": absent.replace(old, new)}, "", ""))


def test_a_fault_may_have_more_roots_on_one_site() -> None:
    text = FAULT + '[node-mtu.roots_on.SITE]\n"mtu-node[cp1]" = "unknown"\n'
    assert "mtu-node[cp1]" not in parse(text.replace("SITE", "other"), SITE)["node-mtu"].roots
    assert parse(text.replace("SITE", "lab"), SITE)["node-mtu"].roots["mtu-node[cp1]"] == "unknown"
    with pytest.raises(FaultError, match=r"node-mtu.roots_on.othr: no such site \(did you mean other"):
        parse(text.replace("SITE", "othr"), SITE)


def test_elsewhere_less_may_follow_but_one_root_must_be_there() -> None:
    """A fault is written on one site; another may lack some of what it names there."""
    text = FAULT.replace("roots = {", 'except = "dns-*[cp1-*]"\nroots = { "pull-*[worker1]" = "unknown",')
    plan = report(0).plan
    read = parse(text, SITE)["node-mtu"]
    assert read.expected(plan).idle == (
        "roots: pull-*[worker1] names no result",
        "except: dns-*[cp1-*] names nothing that follows",
    )
    assert read.expected(plan, strict=False).idle == ()
    nowhere = parse(FAULT.replace("mtu-node[worker1]", "a[*]").replace("dns-*[worker1-*]", "b[*]"), SITE)["node-mtu"]
    assert len(nowhere.expected(plan, strict=False).idle) == 2


def test_a_fault_is_read_as_it_is_written() -> None:
    read = fault()
    assert read.steps.breaks[0].hosts == ("worker1",)
    assert read.steps.heals[0].hosts == ("worker1", "cp1")
    assert read.steps.broken == ()
    assert [poll.run for poll in read.steps.healed] == ["true"]
    assert not read.needs_tools


def test_a_named_step_is_broken_in_its_place_and_healed_before_the_fault_s_own_steps() -> None:
    read = parse(USING, SITE, NAMED)["node-mtu"].steps
    assert [(s.hosts, s.run) for s in read.breaks] == [
        (("cp1",), "true"),
        (("worker1", "cp1"), "ip link set eth0 mtu 1300"),
    ]
    assert [(s.hosts, s.run) for s in read.heals] == [
        (("edge",), "true"),
        (("worker1", "cp1"), "ip link set eth0 mtu 1400"),
        (("edge",), """printf '%s' 'it'"'"'s' over"""),
        (("cp1",), "false"),
    ]
    assert [(s.hosts, s.run) for s in read.broken] == [(("worker1", "cp1"), "ip link show eth0 | grep 1300")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('use = "link-mtu"', 'use = "link-mut"', r"node-mtu.break.use: no step link-mut \(did you mean link-mtu\?\)"),
        ('mtu = "1300"', 'mut = "1300"', r"node-mtu.break.link-mtu.mut: it takes no mut \(did you mean mtu\?\)"),
        (', mtu = "1300"', "", "node-mtu.break.link-mtu.mtu: missing"),
        ('mtu = "1300"', "mtu = 1300", "node-mtu.break.link-mtu.mtu: a parameter is a text or a list of texts"),
        ('on = ["worker1", "cp1"], ', "", "node-mtu.break.link-mtu.break: a step has `on` and one of"),
        ('use = "says",', 'use = "says", on = "cp1",', "node-mtu.heal.says.on: it says itself on which hosts"),
    ],
)
def test_a_wrong_use_of_a_named_step_is_refused(old: str, new: str, said: str) -> None:
    assert old in USING
    with pytest.raises(FaultError, match=said):
        parse(USING.replace(old, new, 1), SITE, NAMED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[a]\nbreak = { run = "x" }', "a.heal: missing"),
        ('[a]\nheel = { run = "x" }', r"a.heel: unknown key \(did you mean heal"),
        ('[a]\ntakes = ["b"]\nheal = { run = "x" }', "a.takes: b is taken and not used"),
        ("[a", "not TOML"),
    ],
)
def test_a_wrong_named_step_is_refused(text: str, said: str) -> None:
    with pytest.raises(FaultError, match=said):
        steps.parse_named(text)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (Written({"a": "", "b": "[x"}, "", ""), "faults/b.toml: not TOML"),
        (Written({"a": FAULT, "b": FAULT}, "", ""), "faults/b.toml: node-mtu: another file has a fault of this name"),
        (Written({}, "[x]", ""), "steps.toml: x.heal: missing"),
        (Written({}, "", "", "[x]"), "sites/lab/steps.toml: x.heal: missing"),
        (Written({}, "", '"x[*]" = ""'), "exceptions.toml: x.*: an exception is a pattern with its reason"),
    ],
)
def test_a_refusal_names_the_file(written: Written, said: str) -> None:
    with pytest.raises(FaultError, match=said):
        load(SITE, written)


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
    ('run = "ip link set eth0 mtu 1500"', 'ran = "x"', r"node-mtu.break.ran: unknown key \(did you mean run"),
    ('run = "ip link set eth0 mtu 1500"', 'run = "x", shim = "exit-1"', "node-mtu.break: a step has `on` and one of"),
    ('run = "ip link set eth0 mtu 1500"', 'shim = "exit-2"', "node-mtu.break.shim: exit-2 is not one of"),
    ('run = "ip link set eth0 mtu 1500"', 'restore = ["/etc/x"]', "break.restore: worker1 has no /etc/x"),
    ('run = "true"', "anew = true", "node-mtu.healed: what is polled is a `run`"),
    ('= "violated"', '= "failed"', "roots.*: failed is not one of violated, unknown"),
    ("does =", "dose =", r"node-mtu.dose: unknown key \(did you mean does\?\)"),
    ('incident = "network stabilization plan"\n', "", "node-mtu.incident: missing"),
    ('heal = [{ on = ["worker1", "cp1"], run = "ip link set eth0 mtu 1400" }]\n', "", "node-mtu.heal: missing"),
    ("evidence =", "only = 5\nevidence =", "node-mtu.only: patterns are a text, a list, or a table of verdicts"),
    ("evidence =", 'only = { "x" = "held" }\nevidence =', "node-mtu.only.x: it has no verdict"),
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


# server (on edge) <- answer (by host and name) <- pull (by host); answer <- view (of no host) <- alarm (of no host)
FOLLOWS = {"answer": ["server"], "pull": ["answer"], "view": ["answer"], "alarm": ["view"]}
PLAN = Plan(
    {
        f"{check}[{subject}]": Planned(check, host)
        for check, subject, host in [
            ("server", "edge", "edge"),
            *(("answer", f"{host}-{name}", host) for host in ("cp1", "worker1") for name in ("a", "b")),
            ("pull", "cp1", "cp1"),
            ("pull", "worker1", "worker1"),
            ("view", "a", None),
            ("view", "b", None),
            ("alarm", "site", None),
            ("mtu", "cp1", "cp1"),
        ]
    },
    FOLLOWS,
)


def expected(says: str, site: Mapping[str, str] | None = None) -> Expected:
    start = FAULT.index("roots")
    return parse(FAULT[:start] + says, SITE)["node-mtu"].expected(PLAN, site)


def violated(found: Expected) -> set[str]:
    return {key for key, verdict in found.verdicts.items() if verdict == "violated"}


def test_what_follows_from_a_root_does_so_on_its_host_and_elsewhere_only_from_where_it_is_not_looked_at() -> None:
    on_one_host = expected('roots = "answer[worker1-*]"')
    assert violated(on_one_host) == {
        *("answer[worker1-a]", "answer[worker1-b]", "pull[worker1]"),
        *("view[a]", "view[b]", "alarm[site]"),
    }
    everywhere = expected('roots = "server[*]"')
    assert violated(everywhere) == PLAN.results.keys() - {"mtu[cp1]"}
    assert everywhere.edges == {("server", "answer"), ("answer", "pull"), ("answer", "view"), ("view", "alarm")}
    assert everywhere.edges == PLAN.edges
    assert everywhere.idle == ()


def test_what_an_exception_holds_back_brings_nothing_along() -> None:
    found = expected('roots = "server[*]"\nexcept = "answer[*]"')
    assert found.verdicts == {"server[edge]": "violated"}
    assert found.edges == set()


def test_an_exception_may_have_another_verdict_and_still_brings_nothing_along() -> None:
    found = expected('roots = "server[*]"\nexcept = { "answer[cp1-*]" = "unknown", "view[*]" = "held" }')
    assert found.verdicts == {
        "server[edge]": "violated",
        **dict.fromkeys(["answer[cp1-a]", "answer[cp1-b]"], "unknown"),
        **dict.fromkeys(["answer[worker1-a]", "answer[worker1-b]", "pull[worker1]"], "violated"),
    }


def test_only_some_of_what_follows_may_come_along() -> None:
    assert violated(expected('roots = "server[*]"\nonly = "*a]"')) == {
        *("server[edge]", "answer[cp1-a]", "answer[worker1-a]", "view[a]"),
    }


def test_what_the_site_excepts_comes_along_with_the_fault_that_names_it() -> None:
    site = {"pull[*]": "pulls go elsewhere"}
    assert "pull[cp1]" not in expected('roots = "server[*]"', site).verdicts
    assert violated(expected('roots = ["server[*]", "pull[cp1]"]', site)) >= {"pull[cp1]", "answer[cp1-a]"}


def test_a_root_that_is_named_keeps_its_verdict_although_it_follows() -> None:
    found = expected('roots = { "answer[cp1-*]" = "violated", "pull[*]" = "held", "view[*]" = "unknown" }')
    assert violated(found) == {"answer[cp1-a]", "answer[cp1-b]"}
    assert found.verdicts["pull[cp1]"] == "held"
    assert found.edges == set()


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ('roots = ["server[*]", "sever[*]"]', "roots: sever[*] names no result"),
        ('roots = "server[*]"\nexcept = "mtu[*]"', "except: mtu[*] names nothing that follows"),
        ('roots = "server[*]"\nexcept = "server[*]"', "except: server[*] names nothing that follows"),
        ('roots = "mtu[*]"\nonly = "view[a]"', "only: view[a] names nothing that follows"),
        ('roots = "server[*]"\nevidence = { "mtu[*]" = "1" }', "evidence: mtu[*] names nothing expected"),
    ],
)
def test_a_pattern_without_effect_is_said(says: str, said: str) -> None:
    assert expected(says).idle == (said,)


def test_the_plan_is_read_from_the_register() -> None:
    entry = {"id": "mtu", "follows": ["link"], "check": "t/test_a.py::test_m"}
    plan = from_register([{**entry, "subjects": [{"subject": "cp1", "host": "cp1"}]}])
    assert plan == Plan({"mtu[cp1]": Planned("mtu", "cp1")}, {"mtu": ["link"]}, {"mtu": "t/test_a.py"})
    with pytest.raises(LabError, match="not what the suite's --register writes"):
        from_register([entry])


def standing(healthy: Report, *faults: Fault) -> list[Proof]:
    found = [(fault, fault.expected(healthy.plan)) for fault in faults]
    return [Proof(fault, expected=e.verdicts, edges=e.edges) for fault, e in found]


def proven(broken: Report, healthy: Report | None = None) -> Proof:
    [proof] = proofs = standing(healthy or report(0), fault())
    compare(proofs, healthy or report(0), broken)
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


def test_what_follows_and_does_not_come_is_a_difference() -> None:
    healthy, broken = report(0), report(1, mtu="violated", dns="unknown")
    follows = {"mtu-node": [], "reach": ["mtu-node"]}
    for each, verdict in ((healthy, "held"), (broken, "held")):
        each.results["reach[worker1]"] = Result("reach[worker1]", "reach", "t.py::reach", "worker1", verdict, "", "")
    healthy = Report(healthy.path, 0, healthy.results, follows)
    assert proven(broken, healthy).differences == ["broken: reach[worker1] is held, expected violated"]


OTHER = FAULT.replace("node-mtu", "cp1-mtu").replace('"mtu-node[worker1]" = "violated"', '"mtu-node[cp1]" = "violated"')
OTHER = OTHER.replace(', "dns-*[worker1-*]" = "unknown"', "").replace('"worker1"', '"cp1"')


def batch(broken: Report) -> list[Proof]:
    other = parse(OTHER.replace('["cp1", "cp1"]', '"cp1"'), SITE)["cp1-mtu"]
    proofs = standing(report(0), fault(), other)
    compare(proofs, report(0), broken)
    return proofs


def test_faults_in_one_run_are_proven_when_each_result_is_what_the_one_that_expects_it_says() -> None:
    proofs = batch(report(1, mtu="violated", dns="unknown", other="violated"))
    assert [proof.ok for proof in proofs] == [True, True]
    assert proofs[1].got == {"mtu-node[cp1]": "violated"}


def test_in_one_run_too_little_is_the_fault_s_own_and_too_much_is_everybody_s() -> None:
    proofs = batch(report(1, mtu="violated", dns="unknown"))
    assert [proof.differences for proof in proofs] == [
        [],
        ["broken: mtu-node[cp1] is held, expected violated: the message"],
    ]
    broken = report(1, mtu="violated", dns="unknown", other="violated")
    broken.results["reach[x]"] = Result("reach[x]", "reach", "t.py::reach", None, "unknown", "", "")
    proofs = batch(broken)
    assert [proof.differences for proof in proofs] == [["broken: reach[x] is unknown, expected held"]] * 2
    assert all("reach[x]" in proof.got for proof in proofs)


def breaking(id: str, host: str, *roots: str) -> Fault:
    said = FAULT[: FAULT.index("roots")].replace("node-mtu", id).replace('"worker1", "cp1"', f'"{host}"')
    return parse(said.replace('"worker1"', f'"{host}"') + f"roots = {list(roots)}", SITE)[id]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (breaking("a", "cp1", "pull[cp1]"), breaking("b", "worker1", "pull[worker1]"), True),
        (breaking("a", "cp1", "pull[cp1]"), breaking("b", "cp1", "mtu[cp1]"), False),
        (breaking("a", "cp1", "answer[cp1-a]"), breaking("b", "worker1", "alarm[*]"), False),
    ],
    ids=["nothing in common", "one host", "one result, by what follows"],
)
def test_faults_stand_together_only_if_they_have_no_host_and_no_result_in_common(
    one: Fault, other: Fault, apart: bool
) -> None:
    expected = {fault.id: fault.expected(PLAN) for fault in (one, other)}
    batches = together([one, other], expected)
    assert sorted(fault.id for batch in batches for fault in batch) == ["a", "b"]
    assert (len(batches) == 1) is apart


def test_a_fault_of_every_host_stands_alone_and_no_batch_is_larger_than_the_most() -> None:
    hosts = ["cp1", "worker1", "swarm1", "lan1", "edge", "dns"]
    plan = Plan({f"mtu[{host}]": Planned("mtu", host) for host in hosts}, {})
    faults = [breaking(host, host, f"mtu[{host}]") for host in hosts]
    every = parse(FAULT.replace('on = "worker1", run = "ip link set eth0 mtu 1500"', 'on = "*", shim = "exit-1"'), SITE)
    every = {"node-mtu": replace(every["node-mtu"], roots={})}
    expected = {fault.id: fault.expected(plan) for fault in (*faults, *every.values())}
    batches = together([*faults, *every.values()], expected, most=4)
    assert sorted(len(batch) for batch in batches) == [1, 2, 4]
    assert tuple(every.values()) in batches
    assert all(len(batch) == 1 for batch in together(faults, expected, most=1))


def test_what_is_of_a_fleet_follows_from_none_but_its_own_hosts() -> None:
    plan = Plan(
        {
            "mtu[a]": Planned("mtu", "a"),
            "mtu[b]": Planned("mtu", "b"),
            "alike[first]": Planned("alike", None, ("a",)),
            "alike[second]": Planned("alike", None, ("b",)),
            "all[site]": Planned("all", None),
        },
        {"alike": ["mtu"], "all": ["mtu"]},
    )
    assert set(plan.brought_along("mtu[a]")) == {"alike[first]", "all[site]"}
