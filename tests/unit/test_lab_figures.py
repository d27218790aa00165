"""The README's figures: what counts as proven, and where they are written."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lab import replays, topology
from lab.faults import load
from lab.figures import BEGIN, BLOCK, END, figures, versions, with_figures
from lab.paths import PROJECT

REGISTER = [
    {"id": "mtu-node", "unproven_because": "", "unwitnessed_because": ""},
    {"id": "dns-names", "unproven_because": "", "unwitnessed_because": "one reading"},
    {"id": "not-here", "unproven_because": "the lab has no such switch", "unwitnessed_because": ""},
]
SEEN = {"mtu-node": {"ip": ["6.1.0"]}, "dns-names": {"dig": ["9.18.49"], "cat": ["9.1"]}}
OTHER: dict[str, Any] = {
    "faults": [{"id": "a", "ok": True, "got": {}}],
    "absent": {"z": "it has no such resolver"},
    "seen": {"mtu-node": {"ip": ["5.9.0", "6.15.0"]}},
}
REPLAYS = {"faults": [{"ok": True}, {"ok": True}]}
CORRUPTION = {"answers": {"tried": 900, "misread": 0}, "verdicts": {"tried": 100, "misread": 0}, "recordings": 7}


def fault(id: str, ok: bool = True, tries: int = 1, **got: str) -> dict[str, Any]:
    found: dict[str, Any] = {"id": id, "ok": ok, "got": {f"{key.replace('_', '-')}[cp1]": got[key] for key in got}}
    return found | ({"tries": tries} if tries > 1 else {})


BROKEN = fault("tools", mtu_node="unknown", dns_names="unknown")


@pytest.mark.parametrize(
    ("faults", "proven", "exactly", "again"),
    [
        pytest.param([fault("a", mtu_node="violated", dns_names="violated"), BROKEN], 2, 2, 0, id="all"),
        pytest.param([fault("a", mtu_node="violated"), BROKEN], 1, 2, 0, id="never violated"),
        pytest.param([fault("a", mtu_node="violated", dns_names="violated")], 0, 1, 0, id="never unknown"),
        pytest.param([fault("a", ok=False, mtu_node="violated"), BROKEN], 0, 1, 0, id="not exactly noticed"),
        pytest.param([fault("a", tries=2, mtu_node="violated", dns_names="violated"), BROKEN], 2, 2, 1, id="again"),
    ],
)
def test_a_check_is_proven_by_faults_that_were_noticed_exactly(
    faults: list[dict[str, Any]], proven: int, exactly: int, again: int
) -> None:
    found = figures(REGISTER, {"faults": faults, "seen": SEEN}, OTHER, CORRUPTION, REPLAYS)
    assert (found.checks, found.elsewhere, found.tried) == (2, 1, 1000)
    assert (found.proven, found.exactly, found.again) == (proven, exactly, again)
    assert found.whole == (proven == 2 and exactly == len(faults))


def test_what_the_other_site_cannot_have_is_not_asked_of_it() -> None:
    faults = [fault("a"), fault("z"), BROKEN]
    found = figures(REGISTER, {"faults": faults, "seen": SEEN}, OTHER, CORRUPTION, REPLAYS)
    assert (
        "| faults noticed as exactly on both sites; 1 more the other cannot have, and say why | 1 / 2 |"
        in found.markdown()
    )


def test_one_misread_answer_is_a_failure() -> None:
    misread = CORRUPTION | {"verdicts": {"tried": 100, "misread": 1}}
    faults = [fault("a", mtu_node="violated", dns_names="violated"), BROKEN]
    found = figures(REGISTER, {"faults": faults, "seen": SEEN}, OTHER, misread, REPLAYS)
    assert not found.whole
    assert "| 1 / 1,000 |" in found.markdown()


def test_one_answer_of_yesterday_that_is_believed_is_a_failure() -> None:
    faults = [fault("a", mtu_node="violated", dns_names="violated"), BROKEN]
    found = figures(
        REGISTER, {"faults": faults, "seen": SEEN}, OTHER, CORRUPTION, {"faults": [{"ok": True}, {"ok": False}]}
    )
    assert not found.whole
    assert "1 checks have no witness beside their tool, and say why | 1 / 2 |" in found.markdown()
    assert not figures(REGISTER, {"faults": faults, "seen": SEEN}, OTHER, CORRUPTION, {"faults": []}).whole


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(OTHER | {"faults": [{"id": "a", "ok": False, "got": {}}]}, id="not noticed exactly"),
        pytest.param(OTHER | {"faults": []}, id="nothing tried"),
        pytest.param(OTHER | {"seen": {}}, id="never healthy"),
        pytest.param(OTHER | {"seen": {"dns-new": {}}}, id="another check"),
    ],
)
def test_what_the_other_site_does_not_show_is_a_failure(other: dict[str, Any]) -> None:
    faults = [fault("a", mtu_node="violated", dns_names="violated"), BROKEN]
    proof = {"faults": faults, "seen": SEEN}
    assert figures(REGISTER, proof, OTHER, CORRUPTION, REPLAYS).whole
    assert "| 1 / 2 |" in figures(REGISTER, proof, OTHER, CORRUPTION, REPLAYS).markdown()
    assert not figures(REGISTER, proof, other, CORRUPTION, REPLAYS).whole


def test_the_versions_of_both_sites_stand_side_by_side() -> None:
    first = {"site": "lab", "seen": SEEN, "running": {"Debian": ["bookworm"], "docker": ["20.10.24"]}}
    second = {"site": "other", "seen": OTHER["seen"], "running": {"Debian": ["bullseye", "sid"]}}
    text = versions([first, second])
    assert "| Debian | bookworm | bullseye, sid |" in text
    assert "| docker | 20.10.24 | — |" in text
    assert "| `mtu-node` | ip 6.1.0 | ip 5.9.0, 6.15.0 |" in text
    assert "| `dns-names` | dig 9.18.49 | — |" in text


def test_figures_replace_those_that_stand_between_the_marks() -> None:
    found = figures(REGISTER, {"faults": [BROKEN]}, OTHER, CORRUPTION, REPLAYS)
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_figures(text, found) == f"before\n{BEGIN}\n{found.markdown()}{END}\nafter\n"
    assert with_figures(with_figures(text, found), found) == with_figures(text, found)
    with pytest.raises(ValueError, match="not there, or more than once"):
        with_figures("no marks", found)


def test_the_readmes_figures_are_of_the_checks_and_faults_that_there_are() -> None:
    """If not: `tox run -e proof`, and then `tox run -e figures -- --write`."""
    [written] = BLOCK.findall((PROJECT / "README.md").read_text())
    rows = re.findall(r"\| ([\d,]+) / ([\d,]+) \|", written)
    (proven, checks), (exactly, faults), there, (both, of_both), (misread, tried), (believed, lies) = rows
    elsewhere = load(topology.load("other"))
    assert there[0] == there[1]
    assert both == of_both == str(len(elsewhere.by_id))
    assert f"{int(faults) - int(both)} more the other cannot have" in written
    register = (PROJECT / "docs/invariants.md").read_text()
    assert int(checks) == len(re.findall(r"^\| proven by \| (?!—)", register, re.MULTILINE))
    assert int(faults) == len(load(topology.load()).by_id)
    unwitnessed = len(re.findall(r"^\| vouched for by \| nothing else: ", register, re.MULTILINE))
    assert f"; {unwitnessed} checks have no witness" in written
    assert (proven, exactly, misread) == (checks, faults, "0")
    known = load(topology.load())
    assert (believed, int(lies)) == ("0", sum(map(len, replays.load(known, replays.file_of("lab")).values())))
    assert int(tried.replace(",", "")) > 10_000
