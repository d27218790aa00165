"""What somebody answers for, until a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from siteproof.facts import Site, Waiver
from siteproof.results import Result, Verdict


def waived(result: Result, site: Site) -> Result:
    """The result once the waivers that speak of it are applied. One that has expired excuses nothing."""
    today = datetime.now(UTC).date()
    for waiver in _of(site, result.id, result.host):
        if waiver.until < today:
            said = f"a waiver of {waiver.owner} expired on {waiver.until}: {waiver.reason}"
            result = replace(result, notes=(*result.notes, said))
        elif result.verdict is Verdict.VIOLATED:
            said = f"{waiver.owner}, until {waiver.until}: {waiver.reason}"
            return replace(result, verdict=Verdict.WAIVED, waiver=said)
        elif result.verdict is Verdict.HELD:
            said = f"held, although {waiver.owner} waived it until {waiver.until}: the waiver can go"
            result = replace(result, notes=(*result.notes, said), waiver="healed")
    return result


def unused(site: Site, results: Sequence[Result]) -> list[str]:
    """A sentence for each waiver that speaks of none of the results."""
    return [
        f"the waiver of {w.id} on {w.hosts} ({w.owner}, until {w.until}) was not needed by any check of this run"
        for w, hosts in zip(site.waivers, site.waiver_hosts, strict=True)
        if not any(r.id == w.id and (r.host is None or r.host in hosts) for r in results)
    ]


def _of(site: Site, id: str, host: str | None) -> list[Waiver]:
    every = zip(site.waivers, site.waiver_hosts, strict=True)
    return [w for w, hosts in every if w.id == id and (host is None or host in hosts)]
