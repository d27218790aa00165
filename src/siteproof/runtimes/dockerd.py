"""dockerd: from its registry settings to the route of a pull.

Mirrors count for Docker Hub alone, and the Hub itself always comes last. A registry that is listed as insecure is tried
without verification, and then without TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    """The .crt files below /etc/docker/certs.d, by registry."""
    proxies: Proxies = Proxies()

    def route(self, registry: str) -> PullRoute:
        """The way of pulls from `registry`."""
        mirrors = self.mirrors if registry == HUB else ()
        listed = [RegistryEndpoint(f"{url.rstrip('/')}/v2", "mirror") for url in mirrors]
        upstream = upstream_url(registry).replace("http://", "https://")
        netloc = urlsplit(upstream).netloc
        certificates = self.ca.get(netloc, ())
        insecure = self.is_insecure(registry)
        endpoints = [*listed, RegistryEndpoint(upstream, "upstream", ALL, insecure, certificates)]
        if insecure:
            endpoints.append(RegistryEndpoint(f"http://{netloc}/v2", "upstream"))
        return PullRoute(registry, tuple(endpoints), "daemon.json" if mirrors or insecure else "")

    def is_insecure(self, registry: str) -> bool:
        host = urlsplit(f"//{registry}").hostname or ""
        try:
            return registry in self.insecure or any(ip_address(host) in net for net in self.insecure_networks)
        except ValueError:
            return registry in self.insecure
