"""Asks a round's questions on all hosts at once. The answers go to the store, never back to the caller."""

from siteproof.gather.base import Gatherer, Phase, Progress
from siteproof.gather.local import LocalGatherer
from siteproof.gather.remote import RemoteGatherer, spawn

__all__ = ["Gatherer", "LocalGatherer", "Phase", "Progress", "RemoteGatherer", "spawn"]
