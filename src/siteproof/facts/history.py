"""siteproof_history: where earlier runs are kept, for what only shows over days."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from siteproof.facts.declared import Declared

SETTLES_DAYS = 7
"""Fewer days show no trend."""


class History(Declared):
    """Earlier runs of the suite on this site."""

    since: date
    """Nothing is concluded for a week from here on. Set it anew when what is measured is made anew."""
    directory: Annotated[str | None, Field(alias="path")] = None
    """The directory with the runs; without it the one that this run writes to."""

    def begins(self, today: date) -> bool:
        """It is too early for a trend."""
        return (today - self.since).days < SETTLES_DAYS
