"""Which machine each host was, from run to run, as ssh's known_hosts has its keys.

One line a host: inventory, host, machine-id, the day on which it was first seen, parted by tabs. Who has a new machine
under an old name takes its line away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from siteproof.errors import BadInput
from siteproof.machine import writing

NAME = "known_machines"
"""In the directory of the runs."""
_HEAD = "# Written by siteproof: inventory, host, machine-id, first seen. Take a line away to accept another machine.\n"


@dataclass(frozen=True)
class Known:
    """What a host was when it was met before."""

    machine_id: str
    since: str
    """ISO date."""
    place: str
    """`file:line`."""


def read(reports: Path, inventory: str) -> dict[str, Known]:
    """Host -> what it was, of one inventory. Raises BadInput for a line that is none."""
    return {host: known for (source, host), known in _read(reports / NAME).items() if source == inventory}


def remember(reports: Path, inventory: str, machines: Mapping[str, str], today: str) -> None:
    """Add the hosts that are not known yet, with their machine-ids. Raises OSError, and BadInput as `read`."""
    path = reports / NAME
    known = _read(path)
    new = {host: machine for host, machine in machines.items() if (inventory, host) not in known}
    new = {host: machine for host, machine in new.items() if not set("\t\r\n") & set(inventory + host + machine)}
    if not new:
        return
    lines = [f"{source}\t{host}\t{one.machine_id}\t{one.since}\n" for (source, host), one in known.items()]
    lines += [f"{inventory}\t{host}\t{machine}\t{today}\n" for host, machine in sorted(new.items())]
    writing.write(path, _HEAD + "".join(lines))


def _read(path: Path) -> dict[tuple[str, str], Known]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split("\t")
        if len(parts) != 4 or not all(parts):
            raise BadInput(f"{path}:{number}: not a line of inventory, host, machine-id and day, parted by tabs")
        source, host, machine_id, since = parts
        found[source, host] = Known(machine_id, since, f"{path.parent.name}/{path.name}:{number}")
    return found
