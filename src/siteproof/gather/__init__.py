"""Asks a round's questions on all hosts at once. The answers go to the store, never back to the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siteproof.gather.base import Gatherer, Phase, Progress
from siteproof.gather.remote import RemoteGatherer, spawn

if TYPE_CHECKING:
    from siteproof.gather.local import LocalGatherer

__all__ = ["Gatherer", "LocalGatherer", "Phase", "Progress", "RemoteGatherer", "spawn"]


def __getattr__(name: str) -> object:
    """LocalGatherer, with paramiko behind it, only in the process that connects."""
    if name != "LocalGatherer":
        raise AttributeError(f"module {__name__} has no {name}")
    from siteproof.gather.local import LocalGatherer

    return LocalGatherer
