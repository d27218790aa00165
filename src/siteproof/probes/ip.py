"""ip (iproute2): links and routes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from siteproof.asks import Ask, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.sections import section, split


@dataclass(frozen=True, slots=True)
class NetworkLink:
    """An interface."""

    name: str
    mtu: int
    """Bytes."""


def default_link(host: str) -> Ask[NetworkLink]:
    """The interface that the IPv4 default route of `host` goes out of."""
    return command(
        host,
        f"{section('routes')}\nip -j -4 route show default || exit\n{section('links')}\nexec ip -j link show",
        probe="ip -j link of the default route",
        parse=parse_default_link,
        tools=("ip",),
    )


def parse_default_link(output: Output) -> NetworkLink:
    """Raises Unparseable also where there is no default route, since then there is no such link to speak of."""
    sections = split(output.text)
    routes = [r for r in _array(sections, "routes") if r.get("dst") == "default" and "dev" in r]
    if not routes:
        raise Unparseable("ip shows no default route")
    device = min(routes, key=lambda r: int(r.get("metric", 0)))["dev"]
    mtus = [link["mtu"] for link in _array(sections, "links") if link.get("ifname") == device]
    if len(mtus) != 1 or not isinstance(mtus[0], int):
        raise Unparseable(f"ip does not show the MTU of {device}, where the default route goes")
    return NetworkLink(device, mtus[0])


def _array(sections: dict[str, str], name: str) -> list[dict[str, Any]]:
    """iproute2 prints nothing, not `[]`, for an empty list on some versions; here that is no answer."""
    text = sections.get(name, "")
    try:
        found = json.loads(text)
    except ValueError:
        raise Unparseable(f"ip -j printed no JSON: {text[:200]!r}") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Unparseable(f"ip -j printed no list of objects: {text[:200]!r}")
    return found
