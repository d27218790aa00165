"""report.html and report.md. Whatever a template prints is escaped; what it prints in the page's own name is markup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup, escape

from siteproof.report import findings as told
from siteproof.report import markdown as markdown_text
from siteproof.report.text import cut
from siteproof.results import WORST_FIRST, Result, Run, Verdict
from siteproof.text.characters import printable

if TYPE_CHECKING:
    from jinja2 import Environment

OPEN_AT_FIRST = 6
"""So many findings are unfolded when the page opens."""
ALL_EVIDENCE_UP_TO = 2000
"""A page of more results than these shows what was answered only where the invariant did not hold."""
MARKDOWN_EVIDENCE = 1500


@dataclass(frozen=True)
class Row:
    """A line of the table of results."""

    result: Result
    anchor: str
    open: bool
    root: str | None
    """The anchor of the finding that it follows from."""
    again: bool
    """The row above is about the same check."""
    brief: bool
    """The answers themselves are left to the evidence files."""

    @property
    def why(self) -> str:
        """One line for the folded row."""
        result = self.result
        if self.root:
            return f"because of {result.follows_from}"
        if result.verdict is Verdict.UNKNOWN:
            return told.reason(result)
        return result.waiver or result.message if result.verdict is not Verdict.HELD else "; ".join(told.notes(result))


def html(run: Run) -> Iterator[str]:
    """report.html, bit by bit."""
    verdicts = [(v, run.count(v)) for v in WORST_FIRST if run.count(v)]
    template = _environment(_as_html).get_template("report.html")
    return template.generate(
        run=run,
        told=told,
        rows=_rows(run),
        verdicts=verdicts,
        worst=worst(run),
        site=told.site(run.inventory),
    )


def markdown(run: Run, *, details: bool = True) -> str:
    """report.md; without the details it stays small however much was found."""
    template = _environment(_as_markdown).get_template("report.md")
    return template.render(
        run=run, told=told, findings=told.findings(run), causes=told.causes(run.results), details=details
    )


def brief_markdown(run: Run) -> str:
    """The same without what was found in detail."""
    return markdown(run, details=False)


def worst(run: Run) -> str:
    """The verdict that the whole run is shown as."""
    if run.exit_code == 0:
        return Verdict.HELD.value
    return Verdict.VIOLATED.value if run.exit_code == 1 else Verdict.UNKNOWN.value


def _rows(run: Run) -> list[Row]:
    found = told.findings(run)
    unfolded = {finding.first.name for finding in found[:OPEN_AT_FIRST]}
    ordered = list(_with_followers(run, found))
    anchors = {result.name: f"r{number}" for number, result in enumerate(ordered, 1)}
    hidden = {follower.name for finding in found for follower in finding.followers}
    return [
        Row(
            result=r,
            anchor=anchors[r.name],
            open=r.name in unfolded,
            root=anchors.get(r.follows_from or "") if r.name in hidden else None,
            again=above is not None and (above.id, above.verdict) == (r.id, r.verdict),
            brief=r.verdict is Verdict.HELD and len(ordered) > ALL_EVIDENCE_UP_TO,
        )
        for above, r in zip([None, *ordered], ordered, strict=False)
    ]


def _with_followers(run: Run, found: list[told.Finding]) -> Iterator[Result]:
    for finding in found:
        yield from (*finding.results, *told.worst_first(finding.followers))
    yield from told.worst_first(r for r in run.results if r.verdict is not Verdict.VIOLATED)


def _environment(finalize: Any) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # a run that only looks writes no page

    environment = Environment(
        loader=PackageLoader("siteproof.report"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": markdown_text.code, "page_code": markdown_text.page_code}
    environment.filters["page_prose"] = markdown_text.page_prose
    environment.filters |= {"href": _href, "clock": _clock, "slug": _slug, "pre": _pre, "seconds": _seconds}
    return environment


def _as_html(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _as_markdown(value: object) -> object:
    """Text for the middle of a line, also of a table's, in which nothing does anything; values are `| code`."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return markdown_text.prose(value)


def _pre(text: str) -> Markup:
    """Escaped for `<pre>`, which ends only where it is closed; Markdown does not look inside."""
    text = printable(text)
    return escape(text if len(text) <= MARKDOWN_EVIDENCE else f"{cut(text, MARKDOWN_EVIDENCE)}\n(more in the report)")


def _href(path: str) -> str:
    return quote(path, safe="/", errors="replace")


def _clock(iso: str) -> str:
    return told.moment(iso).strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.1f} s"


def _slug(verdict: str) -> str:
    return verdict.replace(" ", "-")
