"""What may stand where only the host knows a word of what runs as root: patterns as sudo has them (see `sudoers`)."""

from __future__ import annotations

HEX = "[0-9a-f]"
MOMENT = "[0-9]" * 10
"""Seconds since the epoch, until the year 2286."""
SWARM_ID = "[0-9a-z]" * 25
"""What swarmkit gives to networks, services and tasks."""


def numbers(digits: int) -> tuple[str, ...]:
    """Whole numbers above zero with so many digits, or fewer."""
    return tuple("[1-9]" + "[0-9]" * more for more in range(digits))


PIDS = numbers(7)
"""Linux has none above 4194304."""
