"""Who answered: the first frame of every connection."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from siteproof.asks import Command, Output
from siteproof.errors import WrongHost
from siteproof.transport.connection import Connection
from siteproof.transport.wire import one_line

_ASK = """hostname=$(uname -n)
%sprintf '%%s\\n' "$hostname" "$machine_id"
"""
_MACHINE_ID = "{ read -r machine_id </etc/machine-id; } 2>/dev/null\n"


@dataclass(frozen=True)
class Identity:
    hostname: str
    machine_id: str
    """Empty where the host has no /etc/machine-id."""


def question(connection: Connection) -> Command:
    """Its status is 0 only on the declared host, so that the shell itself can stop before anything else is asked."""
    expected = {"hostname": connection.expected_hostname, "machine_id": connection.expected_machine_id}
    # A container's is that of its image: all that run the same one have it in common.
    own = connection.backend is None or connection.backend.kind == "local" or connection.expected_machine_id
    tests = [f'[ "${name}" = {shlex.quote(value)} ]' for name, value in expected.items() if value is not None]
    return Command(
        host=connection.name,
        probe="hostname and machine-id",
        deadline_s=5.0,
        probe_class="reads",
        script=_ASK % (_MACHINE_ID if own else "machine_id=\n") + (" && ".join(tests) or "true"),
    )


def read(output: Output) -> Identity:
    hostname, machine_id, *_ = [*output.text.split("\n"), "", ""]
    return Identity(hostname, machine_id)


def refuse_other(connection: Connection, identity: Identity) -> None:
    """Raises WrongHost, naming what differs."""
    seen = {"hostname": identity.hostname, "machine-id": identity.machine_id}
    expected = {"hostname": connection.expected_hostname, "machine-id": connection.expected_machine_id}
    wrong = [
        f"its {what} is {one_line(seen[what]) or 'empty'}, declared is {declared}"
        for what, declared in expected.items()
        if declared is not None and seen[what] != declared
    ]
    if wrong:
        raise WrongHost(f"{connection.name} at {connection.address} is another host: {'; '.join(wrong)}")
