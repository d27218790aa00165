"""Asks a round's questions on all hosts at once. The answers go to the store, never back to the caller."""

from siteproof.gather.base import Gatherer, Progress
from siteproof.gather.local import LocalGatherer

__all__ = ["Gatherer", "LocalGatherer", "Progress"]
