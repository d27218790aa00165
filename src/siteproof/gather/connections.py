"""How each host of an inventory is reached."""

from __future__ import annotations

from siteproof.inventory.inventory import Inventory
from siteproof.text.redaction import Redactor
from siteproof.transport.connection import Connection


def connections_of(read: Inventory) -> dict[str, Connection]:
    """How each host is reached, after its variables. Raises BadInput naming the host and the variable."""
    hides = Redactor(read.secrets)
    facts_too = ("siteproof_hostname", "siteproof_machine_id", "siteproof_lab")
    return {
        host.name: Connection.from_variables(
            host.name,
            dict(host.variables) | {n: host.facts[n].value for n in facts_too if n in host.facts},
            host.places,
            {name for name, value in host.variables.items() if hides.text(str(value)) != str(value)},
        )
        for host in read.hosts.values()
        if host.name in read.selected
    }
