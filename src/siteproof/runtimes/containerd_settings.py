"""containerd's configuration, as `containerd config dump` prints it: what it says of registries, by version.

Read in containerd's own sources, at the tags 1.5.18 to 2.3.5 and 2.4.2, and tried with a containerd 2.4.2:

- the dump is of the newest form that this containerd knows, whichever the files are of (1 to 4): the CRI plugin that
  pulls is `io.containerd.grpc.v1.cri` before 2.0 and `io.containerd.cri.v1.images` since
- since 2.2 a `config_path` that is empty, where there are no mirrors either, is two directories; 2.2.2 and later do not
  show that in the dump any more, since they fill it in only when the plugin starts
- since 2.1 the CRI plugin leaves pulls to the transfer service, unless it is told to pull by itself or has a setting
  that makes it. That service is handed the CRI plugin's `config_path` (its own is for others), and looks for a registry
  in all of it as in one directory, whatever colons are in it, by default too. A mend has been proposed for that:
  https://github.com/containerd/containerd/pull/12829
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siteproof.errors import Unparseable

MOST_DOTS = 200
"""In one line of a TOML file. A key `a.a.a…` takes tomllib the square of its parts, 64 KiB of it more than 20 s."""
CRI_PLUGINS = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")
DEFAULT_ROOTS = "/etc/containerd/certs.d:/etc/docker/certs.d"
LAST_LOOKED_AT = {(2, 1): 9, (2, 2): 7, (2, 3): 5, (2, 4): 2}
"""The transfer service's way with a list, by minor version: the last patch in whose sources it was read."""


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


@dataclass(frozen=True)
class LegacyTls:
    """How `registry.configs` has an endpoint be verified, where there is no `config_path`."""

    skip_verify: bool = False
    ca: tuple[str, ...] = ()
    client: bool = False
    """It wants a certificate of the node's."""


@dataclass(frozen=True)
class RegistrySettings:
    """What the CRI plugin's configuration says of registries, of any version."""

    config_path: str
    """As it is dumped; `config_path_of` says what that is for the daemon."""
    mirrors: Mapping[str, tuple[str, ...]]
    tls: Mapping[str, LegacyTls]
    """By an endpoint's host and port."""
    rewrites: Mapping[str, tuple[tuple[str, str], ...]]
    """Of mirrors, in the fork of k3s."""
    headers: tuple[str, ...]
    """Names of headers that every endpoint is sent."""
    pulls_itself: bool
    """It is told to pull without the transfer service, or has a setting that makes it."""


class NotTaken(ValueError):
    """containerd does not take this hosts.toml."""


def read_toml(text: str) -> dict[str, Any]:
    """What `text` says. Raises tomllib.TOMLDecodeError, also where a line has more than MOST_DOTS."""
    if any(line.count(".") > MOST_DOTS for line in text.split("\n")):
        raise tomllib.TOMLDecodeError(f"a line with more than {MOST_DOTS} dots")
    return tomllib.loads(text)


def telling(headers: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of headers that may change an answer."""
    return tuple(sorted(name for name in headers if name.lower() != "user-agent"))


def pairs(rewrite: object) -> tuple[tuple[str, str], ...]:
    if rewrite is None:
        return ()
    if not isinstance(rewrite, dict) or not all(isinstance(text, str) for text in rewrite.values()):
        raise NotTaken("`rewrite` is no table of texts")
    return tuple(rewrite.items())


def registry_settings(config: Mapping[str, Any]) -> RegistrySettings:
    """What the CRI plugin in containerd's configuration, of any version, says of registries.

    Raises ValueError where there is no CRI plugin to read it from.
    """
    plugins = config.get("plugins", {})
    for name in CRI_PLUGINS:
        if isinstance(plugins, dict) and isinstance(plugin := plugins.get(name), dict) and "registry" in plugin:
            registry = plugin["registry"]
            mirrors, configs = registry.get("mirrors") or {}, registry.get("configs") or {}
            return RegistrySettings(
                config_path=str(registry.get("config_path", "")),
                mirrors={host: tuple(m.get("endpoint") or ()) for host, m in mirrors.items()},
                tls={host: _legacy_tls(c["tls"]) for host, c in configs.items() if c.get("tls")},
                rewrites={host: pairs(m["rewrite"]) for host, m in mirrors.items() if m.get("rewrite")},
                headers=telling(registry.get("headers") or {}),
                pulls_itself=_pulls_itself(plugin, registry),
            )
    raise ValueError("containerd's configuration has no CRI plugin with a registry section")


def _legacy_tls(tls: Mapping[str, Any]) -> LegacyTls:
    ca = tls.get("ca_file", "")
    return LegacyTls(
        skip_verify=tls.get("insecure_skip_verify") is True,
        ca=(ca,) if ca else (),
        client=bool(tls.get("cert_file") or tls.get("key_file")),
    )


def _pulls_itself(plugin: Mapping[str, Any], registry: Mapping[str, Any]) -> bool:
    """Told to, or by a setting that the transfer service does not have: then the plugin falls back by itself."""
    return (
        plugin.get("use_local_image_pull") is True
        or plugin.get("disable_snapshot_annotations", True) is False
        or plugin.get("discard_unpacked_layers") is True
        or plugin.get("image_pull_with_sync_fs") is True
        or plugin.get("max_concurrent_downloads", 3) != 3
        or any(registry.get(key) for key in ("mirrors", "configs", "auths"))
    )


def config_path_of(version: Version, dumped: str, has_mirrors: bool) -> str:
    """The CRI plugin's `config_path`, as the daemon has it that was given what is dumped."""
    fills_in = (version.major, version.minor) >= (2, 2) and not dumped and not has_mirrors
    return DEFAULT_ROOTS if fills_in else dumped


def pulls_by_transfer(version: Version, pulls_itself: bool) -> bool:
    """Whether the CRI plugin leaves pulls to the transfer service."""
    return (version.major, version.minor) >= (2, 1) and not pulls_itself


def roots_of(version: Version, config_path: str, pulls_itself: bool) -> tuple[str, ...]:
    """The directories where registries are looked for, in their order.

    Raises Unparseable for a list that this version leaves to a transfer service nobody has looked at.
    """
    if not pulls_by_transfer(version, pulls_itself) or ":" not in config_path:
        return tuple(root.rstrip("/") for root in config_path.split(":") if root)
    if version.patch > LAST_LOOKED_AT.get((version.major, version.minor), -1):
        seen = ", ".join(f"{major}.{minor}.{patch}" for (major, minor), patch in LAST_LOOKED_AT.items())
        raise Unparseable(
            f"whether the transfer service of containerd {version} takes the config_path {config_path!r} for a list, "
            f"nobody has looked: up to {seen} it did not"
        )
    return (config_path.rstrip("/"),)
