"""What a site was seen on: the tools that a held check asked, from a healthy run's report and the evidence beside it,
and the daemons that its hosts run.

A result names its evidence; the evidence names the question, the question the tools it asks, and the report the
versions that each host has of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from lab.enter import command_on
from lab.errors import LabError
from lab.state import State
from lab.topology import Topology

_NUMBER = re.compile(r"\d+(?:\.\d+)+(?:\+moby[.\w-]+)?|\b20\d{6}\b")
"""`9.18.49`; iputils says `20250605`. dockerd's own has that of its module behind it, where it is built of that."""
_MAKERS = ("BusyBox", "uutils")
"""Of several tools in one, which are others than those that go by these names elsewhere."""

Seen = dict[str, dict[str, list[str]]]
"""Check -> tool -> its versions, the oldest first."""


def seen(report: Path) -> Seen:
    """Of the checks that were held. Raises LabError if the report or its evidence cannot be read."""
    try:
        told = json.loads(report.read_text())
        versions = {host["name"]: host["versions"] for host in told["hosts"]}
        tools = {key: found for path in (report.parent / "evidence").glob("*.jsonl") for key, found in _asked(path)}
        found: dict[str, dict[str, set[str]]] = {}
        for result in told["results"]:
            if result["verdict"] != "held":
                continue
            of_check = found.setdefault(result["id"], {})
            for piece in result["evidence"]:
                for tool in tools.get(piece["key"], ()):
                    if said := versions.get(piece["host"], {}).get(tool):
                        of_check.setdefault(tool, set()).add(short(said))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{report} does not say what was seen: {error!r}") from None
    return {
        check: {tool: sorted(said, key=_order) for tool, said in sorted(by_tool.items())}
        for check, by_tool in sorted(found.items())
    }


def _asked(path: Path) -> list[tuple[str, list[str]]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["key"], line["question"].get("tools", [])) for line in lines if "question" in line]


def short(said: str) -> str:
    """The number in what a tool says of its version; before it who made it, if that is one for many tools."""
    number = _NUMBER.search(said)
    maker = next((name for name in _MAKERS if name.lower() in said.lower()), "")
    # uutils did not always say who it is; no other coreutils are of the version 0.
    if not maker and re.fullmatch(r"\w+ 0\.\d+\.\d+", said.strip()):
        maker = "uutils"
    return " ".join(part for part in (maker, number[0] if number else said.strip()[:30]) if part)


def _order(version: str) -> tuple[str, tuple[int, ...], str]:
    maker, _, number = version.rpartition(" ")
    return maker, tuple(int(part) for part in re.findall(r"\d+", number)), number


def of_tools(found: Mapping[str, Mapping[str, list[str]]]) -> dict[str, list[str]]:
    """Tool -> every version of it that any check was seen on."""
    every: dict[str, set[str]] = {}
    for by_tool in found.values():
        for tool, said in by_tool.items():
            every.setdefault(tool, set()).update(said)
    return {tool: sorted(said, key=_order) for tool, said in sorted(every.items())}


# How a service says which version it is of; the first number of what it prints counts.
_VERSION = {
    "containerd": "containerd --version",
    "dnsmasq": "dnsmasq --version",
    "docker": "dockerd --version",
    "dropbear": "dropbear -V",
    "haproxy": "haproxy -v",
    "named": "named -v",
    "NetworkManager": "NetworkManager --version",
    "nsd": "nsd -v",
    "registry": "docker-registry --version",
    "ssh": "sshd -V",
    "systemd-networkd": "networkctl --version",
    "systemd-resolved": "resolvectl --version",
    "traefik": "traefik version",
    "unbound": "unbound -V",
}
_PROGRAM = {"docker": "dockerd", "ssh": "sshd"}
"""Services that are called otherwise than what they run."""


def running(state: State, site: Topology) -> dict[str, list[str]]:
    """Debian's release and what runs on the site's hosts -> the versions of it. Raises LabError where none is said."""
    found: dict[str, set[str]] = {}
    for host in site.systemd_hosts:
        asked = {"Debian": ". /etc/os-release && echo $VERSION_CODENAME"}
        asked |= {service: _VERSION[service] for service in host.services if service in _VERSION}
        for what, command in asked.items():
            answer = command_on(state, host.name, ["sh", "-c", f"{command} 2>&1"])
            number = _NUMBER.search(answer.stdout.partition("Linked libs")[0])
            said = answer.stdout.strip() if what == "Debian" else number[0] if number else ""
            if what == "Debian" and host.base == "sid":
                said = "sid"  # its codename is that of the release that it will be
            if not said:
                raise LabError(f"{what} on {host.name} does not say its version: {answer.stdout.strip()[:80]}")
            found.setdefault(_PROGRAM.get(what, what), set()).add(said)
    return {what: sorted(said, key=_order) for what, said in sorted(found.items())}
