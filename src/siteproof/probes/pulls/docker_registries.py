"""docker: the daemon's registry settings, and the certificates below /etc/docker/certs.d."""

from __future__ import annotations

import re
from collections import defaultdict
from ipaddress import ip_network
from typing import Any

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.dockers import DOCKER, UNSET
from siteproof.probes.common.sections import END, from_json, section, split
from siteproof.runtimes.dockerd import HUB, Dockerd
from siteproof.runtimes.pull_route import Proxies

# The proxies in docker's own report come without their passwords since 20.10.
_FORMAT = (
    '{"version":{{json .ServerVersion}},"registries":{{json .RegistryConfig}},'
    '"http":{{json .HTTPProxy}},"https":{{json .HTTPSProxy}},"no":{{json .NoProxy}}}'
)
_KEYS = frozenset(
    {
        "AllowNondistributableArtifactsCIDRs",
        "AllowNondistributableArtifactsHostnames",
        "InsecureRegistryCIDRs",
        "IndexConfigs",
        "Mirrors",
    }
)
"""Of docker's settings of registries; what is left out is told from what has another name."""
_CERTIFICATES = "/etc/docker/certs.d"
_NOTHING = "No such file or directory"
# `*.c*rt`: authorities' .crt, and .cert of the client. The directory itself comes last, and shows that find came to its
# end. The `?` is the slash: no word but the first is a path that is there, since find could be made to start at each
# (see root_tools).
_SCRIPT = f"""\
{UNSET}{section("info")}
$ROOT {DOCKER} info --format '{_FORMAT}' || exit
{section("certificates")}
listed=$($ROOT find -L {_CERTIFICATES} -maxdepth 2 -depth -path '?{_CERTIFICATES[1:]}/*/*.c*rt' -print \\
    -o -path '?{_CERTIFICATES[1:]}' -print 2>&1) ||
    case $listed in
    "find: '{_CERTIFICATES}': {_NOTHING}" | "find: {_CERTIFICATES}: {_NOTHING}") ;;
    *) printf '%s\\n' "$listed" >&2; exit 1 ;;
    esac
printf '%s\\n' "$listed"
{END}
"""


def docker_registries(host: Host) -> Ask[Dockerd]:
    """How the dockerd that runs on `host` is told to pull."""
    return command(
        host,
        _SCRIPT,
        probe="docker info, registries",
        parse=parse,
        tools=("docker", "find"),
        root=True,
        deadline_s=10,
        waits_for="dockerd",
    )


def parse(output: Output) -> Dockerd:
    """Raises Unparseable for anything but the daemon's own report."""
    sections = split(output.text, "info", "certificates")
    try:
        return _dockerd(from_json(sections["info"], "docker"), _certificates(sections["certificates"].splitlines()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unparseable(f"not docker's report on its registries: {sections['info'][:200]!r}") from error


def _certificates(lines: list[str]) -> list[str]:
    *found, last = lines
    if last in (f"find: '{_CERTIFICATES}': {_NOTHING}", f"find: {_CERTIFICATES}: {_NOTHING}") and not found:
        return []
    if last != _CERTIFICATES:
        raise ValueError(f"find did not come to the end of {_CERTIFICATES}: {last}")
    return found


def _dockerd(info: dict[str, Any], certificates: list[str]) -> Dockerd:
    registries = info["registries"]
    if not {"Mirrors", "InsecureRegistryCIDRs"} <= registries.keys() and (odd := registries.keys() - _KEYS):
        raise TypeError(f"what is left out may be one of {odd}")
    # Go's list of nothing is [] or null or left out, by version: `Mirrors` is null since Docker 23.
    mirrors, networks = registries.get("Mirrors") or [], registries.get("InsecureRegistryCIDRs") or []
    if not isinstance(mirrors, list) or not isinstance(networks, list) or not info["version"]:
        raise TypeError("docker has a version, and lists of mirrors and networks")
    if not all(isinstance(text, str) for text in (info["version"], info["http"], info["https"], info["no"], *mirrors)):
        raise TypeError("not texts where docker has them")
    if HUB not in (registries.get("IndexConfigs") or {}):
        raise NoControl(f"its registries lack {HUB}, which every dockerd has (Podman, in its place, has none)")
    secure = {name: index["Secure"] for name, index in registries["IndexConfigs"].items()}
    if not all(isinstance(is_secure, bool) for is_secure in secure.values()):
        raise TypeError("docker says yes or no to whether a registry is secure")
    by_registry: dict[str, list[str]] = defaultdict(list)
    for path in certificates:
        if not (match := re.fullmatch(r"/etc/docker/certs\.d/([^/]+)/[^/]+\.(?:crt|cert)", path)):
            raise ValueError(f"not a certificate of a registry: {path}")
        by_registry[match[1]].append(path)
    return Dockerd(
        version=info["version"],
        mirrors=tuple(mirrors),
        insecure=frozenset(name for name, is_secure in secure.items() if not is_secure),
        insecure_networks=tuple(ip_network(network) for network in networks),
        ca={name: tuple(paths) for name, paths in by_registry.items()},
        proxies=Proxies(info["http"], info["https"], info["no"]),
    )
