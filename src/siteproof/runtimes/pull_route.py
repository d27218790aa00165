"""Where an image pull can go: the endpoints that are tried in turn, and what is dialled to reach them.

A pull has legs: the tag is resolved to a digest, then the manifest and each blob are fetched. For every leg the
endpoints are tried from the first, so that a pull may get its manifest from a mirror and its layers from upstream. What
an endpoint answers (its token service, the redirect of a blob) leads further, and only asking can tell where.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from siteproof.asks.words import Address
from siteproof.errors import NoControl

Capability = Literal["pull", "resolve", "push"]
ALL: frozenset[Capability] = frozenset({"pull", "resolve", "push"})
MANIFEST_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


@dataclass(frozen=True)
class RegistryEndpoint:
    """A place that is tried. `url` has no final slash and ends in /v2, unless its path is used as it is."""

    url: str
    origin: Literal["mirror", "upstream"]
    """`upstream`: tried after all mirrors, whether declared as the server or filled in."""
    capabilities: frozenset[Capability] = ALL
    skip_verify: bool = False
    ca: tuple[str, ...] = ()
    """Files with the certificates that it may be signed by, besides the host's own."""
    rewrites: tuple[tuple[str, str], ...] = ()
    """Go's pattern and what replaces it: how the repository is called there. The first that changes it counts, of an
    order that nobody knows."""
    dial_timeout_s: float | None = None
    """What a connection may take, where it is not the runtime's own."""
    unasked: tuple[str, ...] = ()
    """What is set besides and changes what it is asked, so that no question of ours is the runtime's."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def netloc(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def address(self) -> Address | None:
        """Set if it is dialled by address: TLS then goes without a server name, and the HTTP host is the address."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    def may(self, *needed: Capability) -> bool:
        return self.capabilities.issuperset(needed)

    def manifest_url(self, registry: str, repository: str, reference: str) -> str:
        """What is asked for first. A mirror is told the registry's name. Raises NoControl where nobody can tell."""
        repository = self._renamed(repository)
        namespace = "" if self.netloc == registry else f"?ns={registry}"
        return f"{self.url}/{repository}/manifests/{reference}{namespace}"

    def _renamed(self, repository: str) -> str:
        try:
            names = {rewritten(repository, *rewrite) for rewrite in self.rewrites} - {repository}
        except ValueError as error:
            raise NoControl(f"{self} cannot be asked: {error}") from None
        if len(names) > 1:
            raise NoControl(f"{self} cannot be asked: {len(names)} rewrites change {repository}, in no order")
        return names.pop() if names else repository

    @property
    def told_besides(self) -> tuple[str, ...]:
        """What the runtime is told of it and curl cannot be; empty where it can be asked."""
        several = ("more than one file of certificates",) if len(self.ca) > 1 and not self.skip_verify else ()
        return (*self.unasked, *several)

    def refuse_unless_askable(self) -> None:
        """Raises NoControl where the runtime asks it in another way than we could."""
        if self.told_besides:
            raise NoControl(f"{self} cannot be asked as the runtime asks it: it is told {'; '.join(self.told_besides)}")

    def __str__(self) -> str:
        return self.url


_SIMPLE = re.compile(r"\^?(?:[\w/-]|\\[./-]|\(?(?:\.|\[\^/\])[*+]\)?)*\$?", re.ASCII)
MOST_WILDCARDS = 3


def rewritten(repository: str, pattern: str, template: str) -> str:
    """`repository` after Go's `ReplaceAllString`. Raises ValueError for a pattern that Python may read otherwise."""
    wildcards = len(re.findall(r"[*+]", pattern))
    if not _SIMPLE.fullmatch(pattern) or pattern.count("(") != pattern.count(")") or wildcards > MOST_WILDCARDS:
        raise ValueError(f"the rewrite {pattern!r} is not one that is understood")
    found, place = "", 0
    for match in re.finditer(pattern, repository):
        if match.start() == match.end() == place > 0:  # to Go no match, right behind another
            continue
        found += repository[place : match.start()] + _filled(template, match)
        place = match.end()
    return found + repository[place:]


def _filled(template: str, match: re.Match[str]) -> str:
    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2] or ""
        if reference[0] == "$$":
            return "$"
        return match[int(name)] or "" if name.isdecimal() and int(name) <= match.re.groups else ""

    return re.sub(r"\$(?:\$|\{(\w{1,9})\}|(\w{1,9}))", group, template, flags=re.ASCII)


@dataclass(frozen=True)
class PullRoute:
    """The way of all pulls from one registry."""

    registry: str
    """As it stands in image names."""
    endpoints: tuple[RegistryEndpoint, ...]
    """In the order they are tried."""
    source: str = ""
    """The file that says so; empty if nothing does."""
    problem: str = ""
    """Why that file is not taken as written."""

    @property
    def resolving(self) -> tuple[RegistryEndpoint, ...]:
        """Those that are asked what a tag is."""
        return tuple(e for e in self.endpoints if e.may("pull", "resolve"))

    @property
    def pulling(self) -> tuple[RegistryEndpoint, ...]:
        """Those that manifests and blobs are fetched from, by digest."""
        return tuple(e for e in self.endpoints if e.may("pull"))

    def mirror(self, url: str) -> RegistryEndpoint:
        """The mirror at `url` as it is configured; one without any settings where it is not."""
        configured = (e for e in self.endpoints if e.origin == "mirror" and e.url == url)
        return next(configured, RegistryEndpoint(url, "mirror"))

    @property
    def falls_back(self) -> bool:
        """Whether it goes on to the registry itself when no mirror serves."""
        return any(e.origin == "upstream" and e.may("pull") for e in self.endpoints)


def upstream_url(registry: str) -> str:
    """The API of a registry that is configured nowhere."""
    host = "registry-1.docker.io" if registry == "docker.io" else registry
    scheme = "http" if is_local(host) else "https"
    return f"{scheme}://{host}/v2"


def is_local(netloc: str) -> bool:
    host = urlsplit(f"//{netloc}").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Image:
    """An image reference, taken apart as container runtimes do."""

    registry: str
    repository: str
    reference: str
    """Tag or digest."""

    @staticmethod
    def parse(text: str) -> Image:
        name, at, digest = text.partition("@")
        first, slash, rest = name.partition("/")
        if not slash or not (re.search(r"[.:]", first) or first == "localhost"):
            first, rest = "docker.io", name if slash else f"library/{name}"
        repository, colon, tag = rest.partition(":")
        return Image(first, repository, digest if at else tag if colon else "latest")

    @property
    def untagged(self) -> str:
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return f"{self.untagged}{'@' if ':' in self.reference else ':'}{self.reference}"


@dataclass(frozen=True)
class Proxies:
    """The proxy variables of a daemon's environment, as Go's net/http reads them."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    @staticmethod
    def of(environment: Mapping[str, str]) -> Proxies:
        def value(name: str) -> str:
            return environment.get(name) or environment.get(name.lower(), "")

        return Proxies(value("HTTP_PROXY"), value("HTTPS_PROXY"), value("NO_PROXY"))

    def dialled(self, url: str) -> str:
        """The name or address that is dialled for `url`: its own, or the proxy's."""
        return _host(self.proxy(url) or url)

    def proxy(self, url: str) -> str:
        """The proxy's URL, empty for none."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not proxy or is_local(host) or self._excepted(host, port):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"

    def _excepted(self, host: str, port: int) -> bool:
        for word in re.split(r"[,\s]+", self.no_proxy.lower()):
            if word == "*":
                return True
            name, colon, only = word.rpartition(":")
            if colon and only.isdecimal() and not name.endswith(":"):
                if int(only) != port:
                    continue
                word = name
            if word and (_in_network(host, word) or _in_domain(host.lower(), word)):
                return True
        return False


NO_PROXIES = Proxies()


def _in_network(host: str, word: str) -> bool:
    try:
        return ip_address(host) in ip_network(word, strict=False)
    except ValueError:
        return False


def _in_domain(host: str, word: str) -> bool:
    """`example.org` excepts itself and what is below; `.example.org` only what is below."""
    word = word.removeprefix("*")
    return host.endswith(word) if word.startswith(".") else host == word or host.endswith(f".{word}")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
