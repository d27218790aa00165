"""containerd: from its settings and its hosts.toml files to the route of a pull. The settings: `containerd_settings`.

What differs between versions was read in containerd's own sources, 1.5.18 to 2.3, and in k3s' issues on its fork:

- the CRI plugin's `config_path` may list several directories; in each the registry's own directory is looked for before
  `_default`, and the first that exists is taken, even if there is no hosts.toml in it
- before 2.0 a hosts.toml without any `[host…]` table is not taken at all: one line in the log, then straight upstream
- from 2.0 on, only hosts with a table header of their own are seen, not inline tables
- in a directory without a hosts.toml that is taken, files count as Docker's: .crt of authorities, .cert of the client
- the server comes last whatever its place in the file; without one, vanilla containerd goes to the registry itself all
  the same, and the fork in k3s and RKE2 goes nowhere (there, `server = ""` is the registry itself)
- without `config_path`, `registry.mirrors` counts, and the registry itself comes last unless it is one of the mirrors;
  how an endpoint is verified then stands in `registry.configs`, by its own host and not by the registry's name
- the fork in k3s and RKE2 has `rewrite`: another name of the repository at this endpoint, which others do not know
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from siteproof.errors import NoControl, Unparseable
from siteproof.runtimes.containerd_settings import (
    LegacyTls,
    NotTaken,
    Version,
    pairs,
    pulls_by_transfer,
    read_toml,
    roots_of,
    telling,
)
from siteproof.runtimes.pull_route import ALL, Capability, Proxies, PullRoute, RegistryEndpoint, is_local, upstream_url

HOSTS_FILE = "hosts.toml"


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
    tls: Mapping[str, LegacyTls] = field(default_factory=dict)
    """`registry.configs`, which `config_path` replaced as well."""
    rewrites: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Of `mirrors`."""
    headers: tuple[str, ...] = ()
    """Names of headers that it sends to every endpoint."""
    pulls_itself: bool = False
    """The CRI plugin does not leave pulls to the transfer service, where there is one."""

    certificates: tuple[str, ...] = ()
    """Files beside or in place of a hosts.toml that end in .crt (of authorities) or .cert (the client's own)."""

    touched: tuple[str, ...] = ()
    """Configuration that was written before the process began, and moved, taken away or given rights after it."""

    @property
    def roots(self) -> tuple[str, ...]:
        """Where directories of registries are looked for. Raises Unparseable where nobody knows."""
        return roots_of(self.version, self.config_path, self.pulls_itself)

    @property
    def by_transfer_service(self) -> bool:
        return pulls_by_transfer(self.version, self.pulls_itself)

    @property
    def lost_roots(self) -> str:
        """Why no directory is looked into at all; empty where they are. Raises as `roots` does."""
        if self.by_transfer_service and ":" in self.config_path and self.roots:
            return (
                f"containerd {self.version} takes the config_path {self.config_path!r} for one directory: its transfer "
                "service knows no list, and use_local_image_pull is not set"
            )
        return ""

    def sure(self) -> None:
        """Raises NoControl where it may have been started with another configuration than the one that is there."""
        if self.touched:
            raise NoControl(
                f"{', '.join(self.touched)}: moved, taken away or given rights after containerd started; "
                "whether it runs with what is there, a restart makes sure"
            )

    def route(self, registry: str) -> PullRoute:
        """The way of pulls from `registry`. Raises Unparseable where others than root may say which it is."""
        if not self.roots:
            return self._with_headers(self._legacy_route(registry))
        return self._with_headers(self._route(registry))

    def _with_headers(self, route: PullRoute) -> PullRoute:
        if not self.headers:
            return route
        more = f"the headers {', '.join(self.headers)} of registry.headers"
        return replace(route, endpoints=tuple(replace(e, unasked=(*e.unasked, more)) for e in route.endpoints))

    def _route(self, registry: str) -> PullRoute:
        for path in self._candidates(registry):
            self._refuse(self.foreign & {path})
            if path in self.directories:
                return self._route_of(registry, path, self.directories[path])
        return PullRoute(registry, (_default(registry),), problem=self.lost_roots)

    def problems(self) -> dict[str, str]:
        """Each hosts.toml that is not taken as written, and why. Raises Unparseable where one was not read at all."""
        files = {path: text for path, text in self.directories.items() if text}
        if self.lost_roots:
            return {f"{path}/{HOSTS_FILE}": self.lost_roots for path in files}
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
            return PullRoute(registry, (self._of_certificates(registry, directory),), source)
        try:
            mirrors, server = parse_hosts(text, self.version, directory)
        except NotTaken as error:
            default = self._of_certificates(registry, directory)
            return PullRoute(registry, (default,), source, f"containerd {self.version} does not take it: {error}")
        if server is None:
            server = [] if self.version.is_k3s else [_default(registry)]
        endpoints = [endpoint or _default(registry) for endpoint in (*mirrors, *server)]
        return PullRoute(registry, tuple(endpoints), source)

    def _of_certificates(self, registry: str, directory: str) -> RegistryEndpoint:
        """The registry itself, as a directory without a hosts.toml that is taken has it: in Docker's layout."""
        files = [file for file in self.certificates if file.rpartition("/")[0] == directory]
        ca = tuple(sorted(file for file in files if file.endswith(".crt")))
        unasked = ("the client's certificate beside it",) if any(file.endswith(".cert") for file in files) else ()
        return replace(_default(registry), ca=ca, unasked=unasked)

    def _legacy_route(self, registry: str) -> PullRoute:
        name = registry if registry in self.mirrors else "*"
        listed = self.mirrors.get(name, ())
        urls = [url if "://" in url else f"{'http' if is_local(url) else 'https'}://{url}" for url in listed]
        rewrites = self.rewrites.get(name, ()) if self.version.is_k3s else ()
        endpoints = [
            RegistryEndpoint(
                url.rstrip("/") if urlsplit(url).path else f"{url}/v2",
                "mirror",
                frozenset({"pull", "resolve"}),
                rewrites=rewrites,
            )
            for url in urls
        ]
        if not any(endpoint.netloc == (urlsplit(upstream_url(registry)).netloc) for endpoint in endpoints):
            endpoints.append(_default(registry))
        source = "registry.mirrors" if listed else ""
        return PullRoute(registry, tuple(map(self._verified, endpoints)), source)

    def _verified(self, endpoint: RegistryEndpoint) -> RegistryEndpoint:
        """`endpoint`, with what `registry.configs` says of its host."""
        if (tls := self.tls.get(endpoint.netloc)) is None:
            return endpoint
        unasked = ("the client's certificate of registry.configs",) if tls.client else ()
        return replace(endpoint, skip_verify=tls.skip_verify, ca=tls.ca, unasked=unasked)


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
    mirrors = [_endpoint(url, (hosts or {}).get(url, {}), directory, "mirror", version) for url in order]
    server = data.get("server")
    if server is not None and not isinstance(server, str):
        raise NotTaken("`server` is no text")
    if server:
        return mirrors, [_endpoint(server, data, directory, "upstream", version)]
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


_READ = frozenset({"capabilities", "ca", "skip_verify", "override_path", "dial_timeout", "rewrite", "server", "host"})
"""What of a host's table is in the model; `client` and `header` change what is asked, and cannot be said again."""


def _endpoint(url: str, settings: Mapping[str, Any], directory: str, origin: str, version: Version) -> RegistryEndpoint:
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
    if not isinstance(ca, str | list) or not all(isinstance(file, str) for file in ca):
        raise NotTaken("`ca` is neither a file nor a list of files")
    rewrites = pairs(settings.get("rewrite")) if version.is_k3s else ()
    return RegistryEndpoint(
        url=f"{parts.scheme}://{parts.netloc}{path}",
        origin="mirror" if origin == "mirror" else "upstream",
        capabilities=_capabilities(settings.get("capabilities", [])),
        skip_verify=settings.get("skip_verify") is True,
        ca=tuple(
            file if file.startswith("/") else f"{directory}/{file}" for file in ([ca] if isinstance(ca, str) else ca)
        ),
        rewrites=rewrites,
        dial_timeout_s=_seconds(settings.get("dial_timeout")),
        unasked=tuple(_unasked(settings)),
    )


def _unasked(settings: Mapping[str, Any]) -> Iterable[str]:
    for key in sorted(settings.keys() - _READ):
        if key == "header" and isinstance(headers := settings[key], dict):
            if others := telling(headers):
                yield f"header {', '.join(others)}"
        elif settings[key] not in ("", [], {}):
            yield key


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(duration: object) -> float | None:
    """A duration as Go spells it: `1.5s`, `1m30s`; None for none."""
    if duration in (None, ""):
        return None
    parts = r"(\d{1,9}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)"
    if not isinstance(duration, str) or not re.fullmatch(rf"(?:{parts}){{1,6}}", duration):
        raise NotTaken(f"`dial_timeout` is no duration: {str(duration)[:40]!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(parts, duration))


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
