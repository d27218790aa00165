"""The README's figures, and the table of what was seen on which versions, from what a run of the proof wrote.

`--write` puts them there.

`register.json` is the suite's `--register`, `proof.json` is from `python -m lab prove --json`, `other.json` the same of
the other site, `replays.json` is from `python -m lab replays --json`, and `corruption.json` is what the corruption
tests counted. Fails where a figure is not whole: a check without a proof, a fault not noticed exactly, an answer of
yesterday that was believed, a damaged one that was read as another.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.paths import PROJECT
from lab.seen import of_tools

FILES = ("register.json", "proof.json", "other.json", "corruption.json", "replays.json")
VERSIONS = PROJECT / "docs/versions.md"
_EVERYWHERE = (
    "awk", "cat", "date", "find", "grep", "head", "ls", "mktemp", "readlink", "sed", "setsid", "sha256sum", "sleep",
    "sort", "tail", "tr", "xargs",
)  # fmt: skip
"""Tools of every userland, which most checks ask; the table of tools has them."""
BEGIN, END = "<!-- figures: written by `tox run -e figures` -->", "<!-- end of figures -->"
BLOCK = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?={re.escape(END)})", re.DOTALL)


@dataclass(frozen=True)
class Figures:
    checks: int
    """Checks that the lab can show; `elsewhere` are those that say why it cannot."""
    proven: int
    elsewhere: int
    faults: int
    exactly: int
    """Faults that made exactly what they name violated or unknown, and nothing after they were healed."""
    again: int
    """Of these, the ones that took a second try, on a new lab."""
    tried: int
    misread: int
    recordings: int
    lies: int
    """Tools that gave yesterday's answers on every host while a fault stood."""
    believed: int
    """Of these, the ones by which a check that has a witness was held."""
    unwitnessed: int
    """Checks that say that they have none."""
    elsewhere_tried: int
    """Faults that were tried on the other site; `elsewhere_exact` of them were noticed exactly."""
    elsewhere_exact: int
    both: int
    """Faults noticed exactly on both sites."""
    impossible: int
    """Faults that the other site cannot have."""
    held: int
    """Checks that the other site shows; `held_on_both` hold there as on the first."""
    held_on_both: int

    @property
    def whole(self) -> bool:
        proven = self.proven == self.checks > 0 and self.exactly == self.faults > 0
        elsewhere = self.elsewhere_exact == self.elsewhere_tried > 0 and self.held_on_both == self.held > 0
        return proven and elsewhere and self.misread == 0 < self.tried and self.believed == 0 < self.lies

    def markdown(self) -> str:
        elsewhere = f"; {self.elsewhere} more cannot be shown on the lab and say why" if self.elsewhere else ""
        impossible = f"; {self.impossible} more the other cannot have, and say why" if self.impossible else ""
        again = f", {self.again} of them at the second try" if self.again else ""
        return (
            "| what was claimed | seen / all |\n"
            "|---|---|\n"
            f"| checks proven: held, violated by a fault, unknown when their tools are broken{elsewhere} "
            f"| {self.proven} / {self.checks} |\n"
            f"| faults noticed by exactly the checks that they name, and by none once healed{again} "
            f"| {self.exactly} / {self.faults} |\n"
            f"| checks of another site, other in releases, daemons and addresses, that hold there as on the first "
            f"| {self.held_on_both} / {self.held} |\n"
            f"| faults noticed as exactly on both sites{impossible} | {self.both} / {self.faults - self.impossible} |\n"
            f"| damaged answers misread, of {self.recordings} recordings of real tools "
            f"| {self.misread} / {self.tried:,} |\n"
            f"| tools believed that gave yesterday's answers while a fault stood; {self.unwitnessed} checks have no "
            f"witness beside their tool, and say why | {self.believed} / {self.lies} |\n"
        )


def figures(
    register: Sequence[Mapping[str, Any]],
    proof: Mapping[str, Any],
    other: Mapping[str, Any],
    corruption: Mapping[str, Any],
    replays: Mapping[str, Any],
) -> Figures:
    exact = [fault for fault in proof["faults"] if fault["ok"]]
    there = [fault for fault in other["faults"] if fault["ok"]]
    here_held, there_held = set(proof.get("seen", {})), set(other.get("seen", {}))
    violated, unknown = _ids(exact, "violated"), _ids(exact, "unknown")
    shown = [entry["id"] for entry in register if not entry["unproven_because"]]
    counts = [corruption["answers"], corruption["verdicts"]]
    return Figures(
        checks=len(shown),
        proven=sum(id in violated and id in unknown for id in shown),
        elsewhere=len(register) - len(shown),
        faults=len(proof["faults"]),
        exactly=len(exact),
        again=sum(fault.get("tries", 1) > 1 for fault in exact),
        tried=sum(each["tried"] for each in counts),
        misread=sum(each["misread"] for each in counts),
        recordings=corruption["recordings"],
        lies=len(replays["faults"]),
        believed=sum(not lie["ok"] for lie in replays["faults"]),
        unwitnessed=sum(bool(entry["unwitnessed_because"]) for entry in register),
        elsewhere_tried=len(other["faults"]),
        elsewhere_exact=len(there),
        both=len({fault["id"] for fault in exact} & {fault["id"] for fault in there}),
        impossible=len({fault["id"] for fault in proof["faults"]} & other["absent"].keys()),
        held=len(there_held),
        held_on_both=len(here_held & there_held),
    )


def _ids(faults: Sequence[Mapping[str, Any]], verdict: str) -> set[str]:
    return {key.partition("[")[0] for fault in faults for key, got in fault["got"].items() if got == verdict}


def with_figures(text: str, found: Figures) -> str:
    """`text` with the figures between its two marks. Raises ValueError if the marks are not there once."""
    if len(BLOCK.findall(text)) != 1:
        raise ValueError(f"the marks {BEGIN} and {END} are not there, or more than once")
    return BLOCK.sub(lambda _: found.markdown(), text)


def versions(sites: Sequence[Mapping[str, Any]]) -> str:
    """What runs on each site, and on which versions of which tools each check was seen to hold there."""
    names = [site["site"] for site in sites]
    lines = [
        "# Seen on",
        "",
        "What the lab's [two sites](faults.md#two-sites) ran and were asked by when they were proven, written by",
        "`tox run -e figures -- --write`. What is not here may work all the same: what a tool says in words that",
        "nobody knows is unknown, never held.",
        "",
        "## What runs there",
        "",
        *_table("daemon", names, [site["running"] for site in sites]),
        "",
        "## What is asked there",
        "",
        *_table("tool", names, [of_tools(site["seen"]) for site in sites]),
        "",
        "## Which check was seen to hold, by what",
        "",
    ]
    checks = sorted({check for site in sites for check in site["seen"]})
    lines += [f"| check | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for check in checks:
        cells = [
            "—"
            if check not in site["seen"]
            else "; ".join(
                f"{tool} {', '.join(said)}" for tool, said in site["seen"][check].items() if tool not in _EVERYWHERE
            )
            or "the shell and tools of every host"
            for site in sites
        ]
        lines.append(f"| `{check}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _table(what: str, names: Sequence[str], sites: Sequence[Mapping[str, Sequence[str]]]) -> list[str]:
    lines = [f"| {what} | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for each in sorted({key for site in sites for key in site}, key=str.lower):
        lines.append(f"| {each} | {' | '.join(', '.join(site.get(each, ())) or '—' for site in sites)} |")
    return lines


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.figures", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, help="where the five files are")
    parser.add_argument(
        "--write", action="store_true", help="put them into the README, and the table into docs/versions.md"
    )
    options = parser.parse_args(arguments)
    try:
        told = [json.loads((options.directory / name).read_text()) for name in FILES]
        found = figures(*told)
    except FileNotFoundError as error:
        print(f"{error.filename} is not there: `tox run -e proof` makes it", file=sys.stderr)
        return 4
    print(found.markdown(), end="")
    readme = PROJECT / "README.md"
    if options.write:
        readme.write_text(with_figures(readme.read_text(), found))
        VERSIONS.write_text(versions(told[1:3]))
    return 0 if found.whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
