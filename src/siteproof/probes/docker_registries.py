"""docker: the daemon's registry settings, and the certificates below /etc/docker/certs.d."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from ipaddress import ip_network
from typing import Any

from siteproof.asks import Ask, Output, command
from siteproof.errors import Unparseable
from siteproof.models.dockerd import Dockerd
from siteproof.models.pull_route import Proxies
from siteproof.probes.sections import END, from_json, section, split

# The proxies in docker's own report come without their passwords since 20.10.
_FORMAT = (
    '{"version":{{json .ServerVersion}},"registries":{{json .RegistryConfig}},'
    '"http":{{json .HTTPProxy}},"https":{{json .HTTPSProxy}},"no":{{json .NoProxy}}}'
)
_SCRIPT = f"""\
{section("info")}
$ROOT docker info --format '{_FORMAT}' || exit
{section("certificates")}
$ROOT sh -c 'for file in /etc/docker/certs.d/*/*.crt; do [ -e "$file" ] && printf "%s\\n" "$file"; done; exit 0' || exit
{END}
"""


def docker_registries(host: str) -> Ask[Dockerd]:
    """How the dockerd that runs on `host` is told to pull."""
    return command(
        host,
        _SCRIPT,
        probe="docker info, registries",
        parse=parse,
        tools=("docker",),
        root=True,
        deadline_s=10,
    )


def parse(output: Output) -> Dockerd:
    """Raises Unparseable for anything but the daemon's own report."""
    sections = split(output.text)
    try:
        return _dockerd(from_json(sections["info"], "docker"), sections["certificates"].split())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unparseable(f"not docker's report on its registries: {sections['info'][:200]!r}") from error


def _dockerd(info: dict[str, Any], certificates: list[str]) -> Dockerd:
    registries = info["registries"]
    by_registry: dict[str, list[str]] = defaultdict(list)
    for path in certificates:
        by_registry[posixpath.basename(posixpath.dirname(path))].append(path)
    return Dockerd(
        version=str(info["version"]),
        mirrors=tuple(registries["Mirrors"] or ()),
        insecure=frozenset(name for name, index in registries["IndexConfigs"].items() if not index["Secure"]),
        insecure_networks=tuple(ip_network(network) for network in registries["InsecureRegistryCIDRs"] or ()),
        ca={name: tuple(paths) for name, paths in by_registry.items()},
        proxies=Proxies(info["http"], info["https"], info["no"]),
    )
