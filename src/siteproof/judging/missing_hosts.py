"""What a run should have looked at: no host leaves the site's checks unnoticed."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from siteproof.facts import Site
from siteproof.inventory.inventory import Inventory
from siteproof.text.redaction import Redactor, apart


def overlooked(site: Site, looked_at: Collection[str]) -> list[str]:
    """A sentence for the hosts of the inventory that no check looks at and that `siteproof_unchecked` does not name."""
    hosts = [h for h in site.inventory.hosts if h not in looked_at and h not in site.unchecked]
    if not hosts:
        return []
    return [
        f"no check looks at {', '.join(hosts)}: give them facts (or a group that has some), "
        "or say in siteproof_unchecked why nobody looks"
    ]


def lost(latest: Path, inventory: Inventory, redactor: Redactor) -> list[str]:
    """A sentence for the hosts that the last run of this inventory looked at and that the inventory has no more.

    `latest` is the directory of that run; it may be missing or unreadable, and then nothing is lost. The sentence comes
    once: the run that says it is the last one for the next.
    """
    try:
        report = json.loads((latest / "report.json").read_text())
        same = report["inventory"] == inventory.source
        before = {result["host"] for result in report["results"] if result["host"]}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    # A report has no secret in it: what hosts are called there is what today's would be.
    today = apart({name: redactor.text(name) for name in inventory.hosts})
    gone = sorted(before - set(today.values()))
    if not same or not gone:
        return []
    return [f"the run before this one looked at {', '.join(gone)}, which the inventory has no more (said this once)"]
