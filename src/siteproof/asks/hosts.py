"""Who is asked: a host by its name, or whatever has one, as a check's subjects have."""

from __future__ import annotations

from typing import Protocol


class HasHost(Protocol):
    """A subject of the inventory that is asked, or asked from."""

    @property
    def host(self) -> str:
        """The name of its host in the inventory."""


Host = str | HasHost


def name_of(host: Host) -> str:
    """The name in the inventory, which questions, and so the evidence, know a host by."""
    return str(getattr(host, "host", host))
