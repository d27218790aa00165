"""metrics.prom, for node_exporter's textfile collector: gauges only, and no timestamps on the samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from siteproof.report import findings as told
from siteproof.results import Run
from siteproof.text.characters import printable

Sample = tuple[dict[str, str], float]


def render(run: Run) -> str:
    """The whole file."""
    site = {"inventory": run.inventory}
    finished = told.moment(run.finished).timestamp()
    summary = [({**site, "verdict": word}, float(n)) for word, n in run.summary.items() if word != "planned"]
    hosts = [({**site, "host": host.name}, float(host.reached)) for host in run.hosts]
    metrics: list[tuple[str, str, Iterable[Sample]]] = [
        ("completion_timestamp_seconds", "When the run ended, Unix time.", [(site, finished)]),
        ("duration_seconds", "How long the run took.", [(site, told.took(run))]),
        ("exit_code", "0 held, 1 violated, 6 unknown, 7 coverage shortfall.", [(site, float(run.exit_code))]),
        ("coverage_complete", "1 if everything planned was judged.", [(site, float(run.coverage_complete))]),
        ("planned", "Results that the plan has.", [(site, float(run.planned))]),
        ("results", "Results by verdict.", summary),
        ("result", "1 for every result, with its verdict.", _results(run)),
        ("host_reached", "1 if the host could be asked.", hosts),
    ]
    return "".join(line for metric in metrics for line in _metric(*metric))


def _results(run: Run) -> Iterator[Sample]:
    for result in run.results:
        labels = {
            "inventory": run.inventory,
            "id": result.id,
            "subject": result.subject,
            "host": result.host or "",
            "severity": result.severity,
            "verdict": result.verdict.value.replace(" ", "_"),
        }
        yield labels, 1.0


def _metric(name: str, meaning: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP siteproof_{name} {meaning}\n# TYPE siteproof_{name} gauge\n"
    for labels, value in samples:
        said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"siteproof_{name}{{{said}}} {value!r}\n"


def _escaped(text: str) -> str:
    return printable(text).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
