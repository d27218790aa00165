"""The files of a run: whole, private, and escaped."""

from __future__ import annotations

import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cmarkgfm
import pytest
import report_samples as made
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase

from siteproof.machine import writing
from siteproof.report import junit, pages, prometheus, write_all
from siteproof.results import Result, Run, Verdict

SCRIPT = "<script>alert(1)</script>"
WRITTEN = {"report.json", "junit.xml", "report.md", "report.html", "metrics.prom"}


@pytest.fixture(autouse=True)
def no_forge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def hostile() -> Run:
    """Every text that comes from outside tries to be more than text."""
    bad = f"{SCRIPT} ]]> |x| `y` <!-- \x1b[31m \x00 \ud800 \ufffe"
    return made.run(
        made.mtu("cp1", check=bad, message=bad, seen=bad, expected=bad, notes=(bad,), remedy=bad, incident=bad,
                 declared_at=bad, evidence=(made.evidence("cp1", bad, f"</pre></details>{bad}"),)),
        made.mtu(f"cp1-{bad}", message=bad, seen=None),
        made.result("u", bad, Verdict.UNKNOWN, message=bad, blocked_by=bad),
        made.result("w", bad, Verdict.WAIVED, waiver=bad),
        made.result("n", bad, Verdict.NOT_APPLICABLE, message=bad),
        planned=9, shortfalls=(bad,), remarks=(bad,), hosts=(made.host(bad, bad),), inventory=bad,
    )  # fmt: skip


def junit_xml(run: Run) -> str:
    return "".join(junit.pieces(run))


def html(run: Run) -> str:
    return "".join(pages.html(run))


def test_every_report_is_written_privately_and_nothing_is_left_over(tmp_path: Path) -> None:
    directory = tmp_path / "reports" / "run1"
    write_all(made.varied(), directory)
    assert {path.name for path in directory.iterdir()} == WRITTEN
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {path.name for path in directory.parent.iterdir()} == {"run1", "latest"}


def test_latest_points_to_the_last_run_and_moves_with_the_folder(tmp_path: Path) -> None:
    for name in ("run1", "run2"):
        write_all(made.varied(), tmp_path / "reports" / name)
    latest = tmp_path / "reports" / "latest"
    assert str(latest.readlink()) == "run2"
    (tmp_path / "reports").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "latest" / "report.json").exists()


def test_latest_is_never_missing_while_it_is_swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    link = tmp_path / "latest"
    writing.point(link, tmp_path / "one")
    replaced = []
    replace = Path.replace

    def watching(self: Path, target: Path) -> Path:
        replaced.append(str(link.readlink()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watching)
    writing.point(link, tmp_path / "two")
    assert replaced == ["one"]
    assert str(link.readlink()) == "two"


def test_a_dangling_latest_is_replaced_and_a_real_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("gone")
    write_all(made.varied(), tmp_path / "run1")
    assert str((tmp_path / "latest").readlink()) == "run1"
    other = tmp_path / "other"
    (other / "latest").mkdir(parents=True)
    write_all(made.varied(), other / "run1")
    assert not (other / "latest").is_symlink()


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    writing.write(path, "old")

    def full(self: Path, target: Path) -> Path:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        writing.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_report_json_reads_back_as_the_same_results(tmp_path: Path) -> None:
    write_all(made.varied(), tmp_path / "run1")
    found = json.loads((tmp_path / "run1" / "report.json").read_text())
    assert found["schema"] == 1
    assert found["exit_code"] == 1
    assert found["summary"] == {
        "planned": 8, "held": 1, "violated": 3, "unknown": 1, "waived": 1, "not_applicable": 1
    }  # fmt: skip
    assert tuple(Result.from_json(each) for each in found["results"]) == made.varied().results


def test_hostile_text_is_written_as_valid_utf8(tmp_path: Path) -> None:
    write_all(hostile(), tmp_path / "run1")
    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "run1").iterdir()}
    assert json.loads(written["report.json"])["results"][0]["remedy"].startswith(SCRIPT)
    assert set(written) == WRITTEN


def cases(run: Run) -> dict[str, TestCase]:
    return {
        f"{case.classname} {case.name}": case
        for suite in JUnitXml.fromstring(junit_xml(run).encode())
        for case in suite
    }


def test_junit_says_each_verdict_in_its_own_way() -> None:
    found = cases(made.varied())
    outcome = {
        "lab.cp1.mtu-node mtu-node[cp1]": (Failure, "seen eth0: 1500, expected eth0: 1400"),
        "lab.worker1.mtu-node mtu-node[worker1]": (Error, f"unknown: {made.DOWN}"),
        "lab.swarm1.swarm-proxy-subnet swarm-proxy-subnet[swarm1-proxy]": (
            Skipped, "waived: viktor, until 2026-12-24: next window"),
        "lab.outside.edge-no-dmz-outside edge-no-dmz-outside[outside]": (
            Skipped, "not applicable: no outside vantage point yet"),
        "lab.site.run coverage": (Error, "8 results were planned, 7 were judged"),
    }  # fmt: skip
    for name, (kind, message) in outcome.items():
        [said] = found[name].result
        assert (type(said), said.message) == (kind, message)
    assert found["lab.swarm1.mtu-node mtu-node[swarm1]"].is_passed


def test_junit_counts_and_carries_properties_and_evidence() -> None:
    document = JUnitXml.fromstring(junit_xml(made.varied()).encode())
    assert (document.tests, document.failures, document.errors, document.skipped) == (8, 3, 2, 2)
    assert document.time == 4.2
    case = cases(made.varied())["lab.cp1.mtu-node mtu-node[cp1]"]
    properties = {p.get("name"): p.get("value") for p in case._elem.iter("property")}
    assert properties == {"severity": "high", "class": "reads", "verdict": "violated", "host": "cp1"}
    assert case.system_out and "evidence/cp1.jsonl" in case.system_out and '"mtu": 1500' in case.system_out
    assert "declared at: inventories/lab/group_vars/nodes.yml:12" in case.result[0].text


def test_junit_is_red_whenever_the_run_is_not_held() -> None:
    held = made.result("a", "b")
    waived = made.result("a", "c", Verdict.WAIVED, waiver="w")
    not_held = [
        made.run(held, planned=2),
        made.run(held, shortfalls=("swarm: not declared",)),
        made.run(held, pytest_exit=3),
        made.run(held, waived, gate=True),
    ]
    for run in not_held:
        assert any(case.is_failure or case.is_error for case in cases(run).values()), run
    assert all(not case.is_failure and not case.is_error for case in cases(made.run(held, waived)).values())


def test_junit_names_are_unique_and_levels_are_the_sites_own() -> None:
    twins = [made.result("a", f"{host}-x", host=host) for host in ("n1.example", "n2.example")]
    found = cases(made.run(*twins, inventory="/srv/inventories/home.yml"))
    assert set(found) == {"home.n1_example.a a[n1.example-x]", "home.n2_example.a a[n2.example-x]"}


def test_hostile_text_stays_text_in_xml() -> None:
    root = ElementTree.fromstring(junit_xml(hostile()))
    assert not list(root.iter("script"))
    assert SCRIPT in "".join(root.itertext())


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "wbr", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_page_has_everything_about_a_finding_and_the_run() -> None:
    text = Page(html(made.varied())).text
    for fact in (
        "3 violated for 2 reasons, 1 unknown, 1 waived, coverage falls short", "eth0: 1400", "eth0: 1500",
        "inventories/lab/group_vars/nodes.yml:12", "the remedy of mtu-node", "the incident of mtu-node",
        "cp1: ip -j link", made.DOWN, "viktor, until 2026-12-24", "no outside vantage point yet",
        "held on the third try",
        "because of dns-split-answer[cp1-home.example]", "planned and not judged: mtu-node[lan1]",
        "a waiver was not needed", "inventories/lab", "2026-11-20 02:00:04 UTC",
    ):  # fmt: skip
        assert fact in text, fact


def test_the_page_is_whole_needs_nothing_else_and_links_to_the_evidence() -> None:
    page = Page(html(made.varied()))
    assert not page.open
    assert not {"script", "img", "link", "iframe", "base"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name == "src" or name.startswith("on")]
    links = {value for name, value in page.attributes if name == "href"}
    assert "evidence/cp1.jsonl" in links
    assert all(value and not re.match(r"[a-z]+:|/", value) for value in links)


def test_every_verdict_of_the_page_is_a_word_too() -> None:
    text = html(made.varied())
    assert re.findall(r'<td class="verdict"><span>([a-z ]+)</span>', text) == [
        "violated", "violated", "violated", "unknown", "waived", "held", "not applicable"
    ]  # fmt: skip


def test_a_host_name_cannot_lead_a_link_away() -> None:
    ref = made.evidence("javascript:alert(1)//a%2Fb", "ip", "x")
    text = html(made.run(made.mtu("cp1", evidence=(ref,))))
    assert 'href="evidence/javascript%3Aalert%281%29//a%252Fb.jsonl"' in text


def test_hostile_text_stays_text_on_the_page() -> None:
    page = Page(html(hostile()))
    assert not page.open
    assert "script" not in page.tags
    assert SCRIPT in page.text
    assert r"\x1b[31m \x00 \ud800" in page.text


def test_a_page_of_many_results_leaves_what_held_to_the_evidence_files(monkeypatch: pytest.MonkeyPatch) -> None:
    held = made.result("held", "cp2", evidence=(made.evidence("cp2", "ip", "what held"),))
    run = made.run(made.mtu("cp1"), held)
    assert "what held" in html(run)
    monkeypatch.setattr(pages, "ALL_EVIDENCE_UP_TO", 1)
    text = html(run)
    assert "what held" not in text
    assert "evidence/cp2.jsonl" in text
    assert "ifname" in text


def test_the_page_of_an_empty_run_says_so() -> None:
    assert "There was nothing to check" in Page(html(made.run(pytest_exit=5))).text


def test_markdown_has_the_verdict_the_findings_and_their_details() -> None:
    text = pages.markdown(made.varied())
    assert text.startswith("## siteproof: 3 violated for 2 reasons, 1 unknown, 1 waived, coverage falls short\n")
    assert "| `mtu-node` | `cp1` | high | `eth0: 1400` | `eth0: 1500` |" in text
    assert "| ↳ `pull-live-no-public` | `cp1` | critical" not in text  # its own severity is high
    assert "- **Coverage shortfall:** 8 results were planned, 7 were judged" in text
    assert "<pre>\n[{&#34;ifname&#34;: &#34;eth0&#34;, &#34;mtu&#34;: 1500}]\n</pre>" in text
    assert "`worker1`: no connection within 5 s (`10.0.20.103:22`)" in text


def test_hostile_text_stays_text_in_markdown() -> None:
    text = pages.markdown(hostile())
    page = cmarkgfm.github_flavored_markdown_to_html(text, cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE)
    assert "<script" not in page and "&lt;script" in page
    assert "<!--" not in page
    assert text.count("<details>") == text.count("</details>")
    assert text.count("<pre>") == text.count("</pre>")
    rows = [line for line in text.splitlines() if line.startswith("| `mtu-node")]
    assert rows and all(line.count("|") == 6 for line in rows)


def test_markdown_of_a_run_that_held_is_short() -> None:
    text = pages.markdown(made.run(made.result("a", "b")))
    assert "**exit 0**" in text
    assert "###" not in text


def test_the_job_summary_is_appended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("from an earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    write_all(made.varied(), tmp_path / "reports" / "run1")
    written = (tmp_path / "reports" / "run1" / "report.md").read_text()
    assert summary.read_text() == f"from an earlier step\n{written}\n"


def test_a_job_summary_stays_below_what_forges_accept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    big = tuple(made.evidence("cp1", f"probe {n}", "x" * 1400) for n in range(1000))
    write_all(made.run(made.mtu("cp1", evidence=big)), tmp_path / "reports" / "run1")
    assert summary.stat().st_size < 2**20
    assert "eth0: 1500" in summary.read_text()


def test_no_job_summary_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "summary.md"))
    write_all(made.varied(), tmp_path / "reports" / "run1")
    assert "no job summary" in capsys.readouterr().err
    assert (tmp_path / "reports" / "latest" / "report.json").exists()


SAMPLE = re.compile(r'siteproof_[a-z_]+\{([a-z]+="(\\["\\n]|[^"\\\n])*",?)*\} -?[0-9.e+]+')


@pytest.mark.parametrize("run", [made.varied(), hostile()], ids=["varied", "hostile"])
def test_metrics_are_gauges_without_timestamps(run: Run) -> None:
    for line in prometheus.render(run).splitlines():
        if line.startswith("# TYPE"):
            assert line.endswith(" gauge")
        elif not line.startswith("# HELP"):
            assert SAMPLE.fullmatch(line), line


def test_metrics_say_what_was_found() -> None:
    text = prometheus.render(made.varied())
    for line in (
        'siteproof_planned{inventory="inventories/lab"} 8.0',
        'siteproof_results{inventory="inventories/lab",verdict="violated"} 3.0',
        'siteproof_results{inventory="inventories/lab",verdict="not_applicable"} 1.0',
        'siteproof_exit_code{inventory="inventories/lab"} 1.0',
        'siteproof_coverage_complete{inventory="inventories/lab"} 0.0',
        'siteproof_host_reached{inventory="inventories/lab",host="worker1"} 0.0',
        'siteproof_completion_timestamp_seconds{inventory="inventories/lab"} 1795140004.2',
        'siteproof_duration_seconds{inventory="inventories/lab"} 4.2',
    ):
        assert line in text.splitlines(), line
