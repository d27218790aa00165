"""docker: nodes and services in the command line's own words, to vouch for what the API said to curl."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.common.dockers import DOCKER, UNSET
from siteproof.probes.common.sections import END, section, split
from siteproof.probes.swarm.model import AVAILABILITIES, NODE_STATES, OWN

_SCRIPT = f"""\
{UNSET}{section("nodes")}
$ROOT {DOCKER} node ls --format '{{{{.ID}}}} {{{{.Status}}}} {{{{.Availability}}}}' || exit
{section("services")}
$ROOT {DOCKER} service ls --format '{{{{.Name}}}} {{{{.Replicas}}}}' || exit
{END}
"""
_NODE = re.compile(r"(?P<id>[0-9a-z]{25}) (?P<state>[A-Z][a-z]+) (?P<availability>[A-Z][a-z]+)")
# `3/3`, `0/1 (1/1 completed)`, `2/2 (max 1 per node)`.
_SERVICE = re.compile(r"(?P<name>[!-~]+) (?P<running>\d{1,9})/(?P<wanted>\d{1,9})(?: \(.*\))?")


@dataclass(frozen=True, slots=True)
class SwarmWords:
    """What `docker node ls` and `docker service ls` show, but for canaries of ours."""

    nodes: Mapping[str, tuple[str, str]]
    """State and availability by id, in lower case."""
    services: Mapping[str, tuple[int, int]]
    """Running and wanted tasks by name."""


def swarm_words(manager: Host) -> Ask[SwarmWords]:
    """Nodes and services, as the command line has them."""
    return command(
        manager,
        _SCRIPT,
        probe="docker node ls, docker service ls",
        parse=parse_words,
        tools=("docker",),
        root=True,
        waits_for="dockerd",
        deadline_s=10,
    )


def parse_words(output: Output) -> SwarmWords:
    """A line each. Raises Unparseable for any other line, and where there is no node."""
    sections = split(output.text, "nodes", "services")
    nodes = [_line(_NODE, line) for line in sections["nodes"].splitlines() if line.strip()]
    services = [_line(_SERVICE, line) for line in sections["services"].splitlines() if line.strip()]
    found = {m["id"]: (m["state"].lower(), m["availability"].lower()) for m in nodes}
    if not found or any(s not in NODE_STATES or a not in AVAILABILITIES for s, a in found.values()):
        raise Unparseable(f"docker node ls shows no nodes: {sections['nodes'][:200]!r}")
    named = {m["name"]: (int(m["running"]), int(m["wanted"])) for m in services if not m["name"].startswith(OWN)}
    return SwarmWords(found, named)


def _line(form: re.Pattern[str], line: str) -> re.Match[str]:
    if (match := form.fullmatch(line.strip())) is None:
        raise Unparseable(f"not a line of docker's: {line[:200]!r}")
    return match
