"""containerd: from its configuration and its hosts.toml files to the route of a pull.

What differs between versions was read in containerd's own sources, 1.5.18 to 2.3, and in k3s' issues on its fork:

- the CRI plugin's `config_path` may list several directories; in each the registry's own directory is looked for before
  `_default`, and the first that exists is taken, even if there is no hosts.toml in it
- before 2.0 a hosts.toml without any `[host…]` table is not taken at all: one line in the log, then straight upstream
- from 2.0 on, only hosts with a table header of their own are seen, not inline tables
- the server comes last whatever its place in the file; without one, vanilla containerd goes to the registry itself all
  the same, and the fork in k3s and RKE2 goes nowhere (there, `server = ""` is the registry itself)
- without `config_path`, `registry.mirrors` counts, and the registry itself comes last unless it is one of the mirrors
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from siteproof.errors import Unparseable
from siteproof.runtimes.pull_route import ALL, Capability, Proxies, PullRoute, RegistryEndpoint, is_local, upstream_url

HOSTS_FILE = "hosts.toml"
MOST_DOTS = 200
"""In one line of a TOML file. A key `a.a.a…` takes tomllib the square of its parts, 64 KiB of it more than 20 s."""
CRI_PLUGINS = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")


@dataclass(frozen=True, order=True)
class Version:
    """`1.6.20~ds1`, `v2.0.0-rc.1`, `v1.7.11-k3s2`."""

    major: int
    minor: int
    patch: int
    text: str = ""

    @staticmethod
    def parse(text: str) -> Version:
        """Raises ValueError where no version stands."""
        match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
        if match is None:
            raise ValueError(f"not a version of containerd: {text!r}")
        return Version(int(match[1]), int(match[2]), int(match[3]), text)

    @property
    def is_k3s(self) -> bool:
        """The fork in k3s and RKE2."""
        return "-k3s" in self.text

    def __str__(self) -> str:
        return self.text


class NotTaken(ValueError):
    """containerd does not take this hosts.toml."""


@dataclass(frozen=True)
class Containerd:
    """What decides where containerd pulls from."""

    version: Version
    config_path: str
    """The CRI plugin's, as it is: directories separated by colons."""
    mirrors: Mapping[str, tuple[str, ...]]
    """`registry.mirrors`, which `config_path` replaced."""
    directories: Mapping[str, str | None]
    """Every directory below those of `config_path`, and the text of its hosts.toml, None where there is none."""
    proxies: Proxies = Proxies()
    newer_than_process: tuple[str, ...] = ()
    """Configuration that is read only at the start, and was written after it."""
    foreign: frozenset[str] = frozenset()
    """Directories of registries that others than root may change, so that nobody looked into them."""

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(root.rstrip("/") for root in self.config_path.split(":") if root)

    def route(self, registry: str) -> PullRoute:
        """The way of pulls from `registry`. Raises Unparseable where others than root may say which it is."""
        if not self.roots:
            return self._legacy_route(registry)
        for path in self._candidates(registry):
            self._refuse(self.foreign & {path})
            if path in self.directories:
                return self._route_of(registry, path, self.directories[path])
        return PullRoute(registry, (_default(registry),))

    def problems(self) -> dict[str, str]:
        """Each hosts.toml that is not taken as written, and why. Raises Unparseable where one was not read at all."""
        files = {path: text for path, text in self.directories.items() if text}
        routes = {f"{path}/{HOSTS_FILE}": self._route_of("", path, text) for path, text in files.items()}
        problems = {path: route.problem for path, route in routes.items() if route.problem}
        if not problems:
            self._refuse(self.foreign)
        return problems

    def _refuse(self, foreign: frozenset[str]) -> None:
        if foreign:
            raise Unparseable(f"{', '.join(sorted(foreign))}: others than root may change it, so it is not believed")

    def _candidates(self, registry: str) -> Iterable[str]:
        name, colon, port = registry.rpartition(":")
        for root in self.roots:
            if colon:
                yield f"{root}/{name}_{port}_"
            yield f"{root}/{registry}"
            yield f"{root}/_default"

    def _route_of(self, registry: str, directory: str, text: str | None) -> PullRoute:
        source = f"{directory}/{HOSTS_FILE}" if text is not None else directory
        if not text:
            return PullRoute(registry, (_default(registry),), source)
        try:
            mirrors, server = parse_hosts(text, self.version, directory)
        except NotTaken as error:
            return PullRoute(
                registry, (_default(registry),), source, f"containerd {self.version} does not take it: {error}"
            )
        if server is None:
            server = [] if self.version.is_k3s else [_default(registry)]
        endpoints = [endpoint or _default(registry) for endpoint in (*mirrors, *server)]
        return PullRoute(registry, tuple(endpoints), source)

    def _legacy_route(self, registry: str) -> PullRoute:
        listed = self.mirrors.get(registry, self.mirrors.get("*", ()))
        urls = [url if "://" in url else f"{'http' if is_local(url) else 'https'}://{url}" for url in listed]
        endpoints = [
            RegistryEndpoint(url if urlsplit(url).path else f"{url}/v2", "mirror", frozenset({"pull", "resolve"}))
            for url in urls
        ]
        if not any(endpoint.netloc == registry for endpoint in endpoints):
            endpoints.append(_default(registry))
        return PullRoute(registry, tuple(endpoints), "registry.mirrors" if listed else "")


def read_toml(text: str) -> dict[str, Any]:
    """What `text` says. Raises tomllib.TOMLDecodeError, also where a line has more than MOST_DOTS."""
    if any(line.count(".") > MOST_DOTS for line in text.split("\n")):
        raise tomllib.TOMLDecodeError(f"a line with more than {MOST_DOTS} dots")
    return tomllib.loads(text)


def parse_hosts(
    text: str, version: Version, directory: str = ""
) -> tuple[list[RegistryEndpoint], list[RegistryEndpoint | None] | None]:
    """The mirrors of a hosts.toml in order, and its server: a list of one, of None where it is empty; None without.

    Raises NotTaken where this version of containerd does not take the file.
    """
    try:
        data = read_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise NotTaken(f"not TOML: {error}") from None
    hosts = data.get("host")
    if version.major < 2 and not isinstance(hosts, dict):
        raise NotTaken("it has no [host.…] table, which versions before 2.0 want (invalid `host` tree)")
    if hosts is not None and not isinstance(hosts, dict):
        raise NotTaken("`host` is no table")
    order = list(hosts or {}) if version.major < 2 else _headed(text)
    mirrors = [_endpoint(url, (hosts or {}).get(url, {}), directory, "mirror") for url in order]
    server = data.get("server")
    if server is not None and not isinstance(server, str):
        raise NotTaken("`server` is no text")
    if server:
        return mirrors, [_endpoint(server, data, directory, "upstream")]
    return mirrors, None if server is None else [None]


def _headed(text: str) -> list[str]:
    """The hosts that have a table header of their own, in the order of these."""
    found: list[str] = []
    for line in text.splitlines():
        if not re.match(r"\s*\[\s*[\"']?host[\"']?\s*\.", line):
            continue
        try:
            (url,) = read_toml(line)["host"]
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
            continue
        if not found or found[-1] != url:
            found.append(url)
    return found


def _endpoint(url: str, settings: Mapping[str, Any], directory: str, origin: str) -> RegistryEndpoint:
    if not isinstance(settings, dict):
        raise NotTaken(f"host {url} is no table")
    full = url if url.startswith("http") else f"https://{url}"
    try:
        parts = urlsplit(full)
        _ = parts.port
    except ValueError as error:
        raise NotTaken(f"{url} is no URL: {error}") from None
    path = re.sub(r"/+", "/", parts.path).rstrip("/")
    if not path.endswith("/v2") and settings.get("override_path") is not True:
        path += "/v2"
    ca = settings.get("ca", [])
    return RegistryEndpoint(
        url=f"{parts.scheme}://{parts.netloc}{path}",
        origin="mirror" if origin == "mirror" else "upstream",
        capabilities=_capabilities(settings.get("capabilities", [])),
        skip_verify=settings.get("skip_verify") is True,
        ca=tuple(
            file if file.startswith("/") else f"{directory}/{file}" for file in ([ca] if isinstance(ca, str) else ca)
        ),
    )


def _capabilities(listed: object) -> frozenset[Capability]:
    if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
        raise NotTaken("`capabilities` is no list of words")
    known: dict[str, Capability] = {"pull": "pull", "resolve": "resolve", "push": "push"}
    for word in listed:
        if word.lower() not in (*known, "referrers"):
            raise NotTaken(f"unknown capability {word}")
    return frozenset(known[word.lower()] for word in listed if word.lower() in known) if listed else ALL


def _default(registry: str) -> RegistryEndpoint:
    return RegistryEndpoint(upstream_url(registry), "upstream", skip_verify=is_local(registry))


def registry_settings(config: Mapping[str, Any]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """`config_path` and `mirrors` of the CRI plugin in containerd's configuration, of any version.

    Raises ValueError where there is no CRI plugin to read them from.
    """
    plugins = config.get("plugins", {})
    for name in CRI_PLUGINS:
        if isinstance(plugins, dict) and isinstance(plugin := plugins.get(name), dict) and "registry" in plugin:
            registry = plugin["registry"]
            mirrors = {host: tuple(m.get("endpoint", ())) for host, m in (registry.get("mirrors") or {}).items()}
            return str(registry.get("config_path", "")), mirrors
    raise ValueError("containerd's configuration has no CRI plugin with a registry section")
