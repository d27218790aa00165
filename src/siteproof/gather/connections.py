"""How each host of an inventory is reached."""

from __future__ import annotations

from collections.abc import Mapping

from siteproof.errors import BadInput, NoSuchConnection
from siteproof.inventory.inventory import Host, Inventory
from siteproof.text.redaction import Redactor
from siteproof.transport.connection import Connection


def connections_of(read: Inventory, needed: Mapping[str, str] | None = None) -> dict[str, Connection]:
    """How each host is reached, after its variables. Raises BadInput naming the host and the variable.

    A host with a connection of another kind, such as a switch, is left out, unless it is among those `needed`: host ->
    where it is asked for.
    """
    needed, found, hides = needed or {}, {}, Redactor(read.secrets)
    for name, host in read.hosts.items():
        if name in read.selected:
            try:
                found[name] = _connection(host, hides)
            except NoSuchConnection as error:
                if name in needed:
                    raise BadInput(f"{error}, and {needed[name]} wants {name} to be asked") from None
    return found


def _connection(host: Host, hides: Redactor) -> Connection:
    facts_too = ("siteproof_hostname", "siteproof_machine_id", "siteproof_lab")
    return Connection.from_variables(
        host.name,
        dict(host.variables) | {n: host.facts[n].value for n in facts_too if n in host.facts},
        host.places,
        {name for name, value in host.variables.items() if hides.text(str(value)) != str(value)},
    )
