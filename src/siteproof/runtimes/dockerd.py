"""dockerd: from its registry settings to the route of a pull.

Mirrors count for Docker Hub alone, and the Hub itself always comes last. A registry that is listed as insecure is tried
without verification, and then without TLS; a name counts as insecure too where its address is in an insecure network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

from siteproof.runtimes.pull_route import ALL, Proxies, PullRoute, RegistryEndpoint, upstream_url

HUB = "docker.io"


@dataclass(frozen=True)
class Dockerd:
    """What decides where dockerd pulls from."""

    version: str
    mirrors: tuple[str, ...]
    """Of Docker Hub."""
    insecure: frozenset[str]
    """Registries by name that are not verified."""
    insecure_networks: tuple[IPv4Network | IPv6Network, ...]
    ca: Mapping[str, tuple[str, ...]]
    """The .crt files below /etc/docker/certs.d, and the client's .cert, by registry or mirror."""
    proxies: Proxies = Proxies()

    def route(self, registry: str) -> PullRoute:
        """The way of pulls from `registry`."""
        mirrors = self.mirrors if registry == HUB else ()
        listed = [self._verified(RegistryEndpoint(f"{url.rstrip('/')}/v2", "mirror")) for url in mirrors]
        upstream = upstream_url(registry).replace("http://", "https://")
        insecure = self.is_insecure(registry)
        endpoints = [*listed, self._verified(RegistryEndpoint(upstream, "upstream", ALL), insecure)]
        if insecure:
            endpoints.append(RegistryEndpoint(upstream.replace("https://", "http://"), "upstream"))
        return PullRoute(registry, tuple(endpoints), "daemon.json" if mirrors or insecure else "")

    def _verified(self, endpoint: RegistryEndpoint, insecure: bool | None = None) -> RegistryEndpoint:
        """`endpoint`, with what /etc/docker/certs.d and `insecure-registries` say of its host."""
        files, host = self.ca.get(endpoint.netloc, ()), endpoint.netloc
        skips = self.is_insecure(host) if insecure is None else insecure
        unasked = ["the client's certificate in /etc/docker/certs.d"] if any(f.endswith(".cert") for f in files) else []
        if not skips and endpoint.address is None and any(not n.is_loopback for n in self.insecure_networks):
            unasked.append("whether its address is in one of the insecure networks")
        return replace(
            endpoint,
            skip_verify=skips,
            ca=tuple(file for file in files if file.endswith(".crt")),
            unasked=tuple(unasked),
        )

    def is_insecure(self, registry: str) -> bool:
        host = urlsplit(f"//{registry}").hostname or ""
        try:
            return registry in self.insecure or any(ip_address(host) in net for net in self.insecure_networks)
        except ValueError:
            return registry in self.insecure
