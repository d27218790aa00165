"""What a host says is read and does not act: not on a terminal, not in a file, not on a forge's page."""

from __future__ import annotations

import json
import re
import unicodedata
from html.parser import HTMLParser

import cmarkgfm
import pytest
from operators_project import Project
from report_samples import evidence, host, mtu, result, run

from siteproof.report import pages
from siteproof.results import Run, Verdict
from siteproof.text.characters import as_json, printable

pytest_plugins = "pytester"

BIDI = "‮‭‏؜⁦⁩"
HIDDEN = "\u200b\ufeff\U000e0041\U000e007f\ufff9\ue000\ufe0f"
HOSTILE = f"\x1b[35;5mPASSED\x1b]0;title\x07\x9b31m\r\x08 {BIDI} {HIDDEN} \u2028 end"
FORGE = (
    "@octocat @org/team me@example.org http://evil.example www.evil.example https://x.example/y #12 !12 org/repo#12 "
    "GH-12 :smile: deadbeefdeadbeef 0123456789abcdef0123456789abcdef01234567 [ ] [x](http://a.example) "
    "![i](http://b.example) "
    "<img src=x> <a href=y>z</a> **b** ~~s~~ `c` ``d | e`` \\| $x$ <!-- n --> &#64;octocat &commat;octocat "
    "mailto:a@b.example xmpp:a@b.example ftp://f.example AB-12 octo/cat@deadbeef x@y.example. (@octocat) "
    "'@octocat', \\@octocat"
)
WORDS = FORGE.split(" ")

CHECKS = '''
import warnings
from pathlib import Path
from siteproof.asks import command, note
from siteproof.errors import ProbeError
from siteproof.facts import Node
from siteproof.facts.path import Link
from siteproof.invariants import invariant
import pytest

HOSTILE = Path(r"{directory}/hostile").read_bytes().decode()
ABOUT = dict(family="link", severity="high", incident="", remedy="")

def read(host):
    return command(host, "cat {directory}/hostile", probe="read it", tools=("cat",),
                   parse=lambda output: output.stdout.decode())

@invariant("said", **ABOUT)
async def test_a_host_says_nothing(node: Node, link: Link) -> None:
    """A host says nothing."""
    assert await read(node.host) == "nothing"

@invariant("noted", **ABOUT)
async def test_a_host_notes_something(node: Node, link: Link) -> None:
    """A host notes something."""
    note(await read(node.host))

@invariant("broken", **ABOUT)
async def test_a_probe_breaks(node: Node, link: Link) -> None:
    """A probe breaks."""
    raise ProbeError(await read(node.host), host=node.host)

def test_prints(host) -> None:
    said = host.run("cat {directory}/hostile").stdout
    print(said)
    warnings.warn(said)
    assert said == "nothing", said

def test_raises(host) -> None:
    raise RuntimeError(host.run("cat {directory}/hostile").stdout)

def test_skips(host) -> None:
    pytest.skip(HOSTILE)
'''

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def acting(text: str) -> set[str]:
    """The characters of a text that do more than stand there."""
    kinds = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return {c for c in text if (unicodedata.category(c) in kinds and c not in "\n\t") or c in "\ufe0f"}


@pytest.fixture
def hostile(project: Project) -> Project:
    (project.directory / "hostile").write_bytes(HOSTILE.encode())
    project.checks(CHECKS)
    return project


@pytest.mark.parametrize("colour", ["0", "1"])
@pytest.mark.parametrize(
    "options",
    [
        ("-q",),
        ("-vv", "-rA", "--tb=long", "--showlocals", "--junitxml=pytest.xml"),
        ("--tb=short", "-rA", "-n2"),
        ("--tb=line",),
        ("--tb=native",),
        ("-s",),
    ],
    ids=" ".join,
)
def test_nothing_acts_on_a_terminal_or_in_a_file(
    hostile: Project, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], colour: str
) -> None:
    monkeypatch.setenv("PY_COLORS", colour)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(hostile.pytester.path / "summary.md"))
    ran = hostile.run(*options)
    assert ran.ret == 1
    printed = f"{ran.stdout}\n{ran.stderr}"
    assert "\x1b[35;5m" not in printed
    painted = COLOUR.findall(printed)
    assert bool(painted) == (colour == "1")
    assert acting(COLOUR.sub("", printed)) == set()
    files = [p for p in (hostile.pytester.path / "reports").rglob("*") if p.is_file()]
    files += (p for name in ("pytest.xml", "summary.md") for p in hostile.pytester.path.glob(name))
    assert {p.name: acting(p.read_text()) for p in files if acting(p.read_text())} == {}
    (found,) = {r["seen"] for r in hostile.report["results"] if r["id"] == "said"}
    assert "\u202e" in found  # report.json says what it was, escaped


def test_nothing_acts_in_a_check_of_access(hostile: Project) -> None:
    shell = hostile.directory / "shell"
    shell.write_text(f"#!/bin/sh\nprintf '%s\\n' '{HOSTILE}' >&2\nprintf '%s' '{HOSTILE}'\nexit 3\n")
    shell.chmod(0o755)
    hostile.variables["ansible_ssh_private_key_file"] = str(hostile.sshd.let_in("forced", f'command="{shell}"'))
    ran = hostile.run("--check-access")
    assert ran.ret == 6
    assert "PASSED" in str(ran.stdout)
    assert acting(f"{ran.stdout}\n{ran.stderr}") == set()
    assert [line.split()[0] for line in ran.stdout.lines if "PASSED" in line] == ["one", "two"]


@pytest.mark.parametrize("where", ["fact", "limit", "unknown fact"])
def test_nothing_acts_in_a_refusal(hostile: Project, where: str) -> None:
    bad = HOSTILE.replace(":", "")
    if where == "fact":
        hostile.facts["siteproof_link"] = {"mtu": HOSTILE}
    elif where == "unknown fact":
        hostile.facts["siteproof_link"] = {"mtu": 1400, bad: 1}
    ran = hostile.run(*([f"--limit={bad}"] if where == "limit" else []))
    assert ran.ret == 4
    assert acting(f"{ran.stdout}\n{ran.stderr}") == set()
    assert "[35;5mPASSED" in str(ran.stderr)


def test_every_character_that_acts_is_spelled_out() -> None:
    every = "".join(map(chr, range(0x110000)))
    assert acting(printable(every)) == set()
    assert json.loads(as_json(every[:0xD800])) == every[:0xD800]
    assert acting(as_json(every)) == set()


def test_ordinary_text_stays() -> None:
    text = "Grüße · 東京 … “quoted” ↳ naïve\n\tindented – العربية עברית"
    assert printable(text) == text


class Shown(HTMLParser):
    """What of a page is a link, and the text in which a forge looks for something to link."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]
        if tag in ("code", "pre"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("code", "pre"):
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        self.text += " " if self._inside else data


def everywhere(said: str) -> Run:
    """A run in which every text from outside says the same."""
    return run(
        mtu("cp1", message=said, seen=said, expected=said, notes=(said,), declared_at=said, incident=said,
            remedy=said, check=said, evidence=(evidence(said, said, said),)),
        mtu(f"cp1-{said}", message=said, seen=None),
        mtu("cp2", message=said, seen=None, follows_from=said),
        result("u", said, Verdict.UNKNOWN, message=said, blocked_by=said),
        result("w", said, Verdict.WAIVED, waiver=said),
        result("n", said, Verdict.NOT_APPLICABLE, message=said),
        result("h", said, notes=(said,)),
        planned=9, shortfalls=(said,), remarks=(said,), hosts=(host(said, said),), inventory=said,
    )  # fmt: skip


OF_A_FORGE = re.compile(
    r"@\w|#\d|!\d|GH-\d|://|www\.|(?<!\d):[a-z]+:|\b[0-9a-f]{7,40}\b|\[[ x]\]|\w@\w|\b[A-Z]{2,}-\d|mailto:"
    r"|<!--|\*\*|~~|\$"
)


@pytest.mark.parametrize(
    "said", [*FORGE.split(" "), FORGE, f"(see {FORGE})", "\n".join(FORGE.split(" ")), "1. a", "- b"]
)
@pytest.mark.parametrize("page", [pages.markdown, pages.brief_markdown])
def test_no_forge_links_notifies_or_formats(said: str, page: object) -> None:
    unsafe = cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE
    quiet = Shown(cmarkgfm.github_flavored_markdown_to_html(page(everywhere("quiet")), unsafe))  # type: ignore[operator]
    shown = Shown(cmarkgfm.github_flavored_markdown_to_html(page(everywhere(said)), unsafe))  # type: ignore[operator]
    assert shown.links == []
    assert OF_A_FORGE.findall(shown.text) == []
    assert shown.tags <= quiet.tags | {"br"}


def test_a_mention_would_have_been_found() -> None:
    """The renderer links, where it is let."""
    page = cmarkgfm.github_flavored_markdown_to_html(FORGE, cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE)
    shown = Shown(page)
    assert len(shown.links) > 5
    assert len(OF_A_FORGE.findall(shown.text)) > 10
