"""What a site's hosts stand on, as far as it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Image:
    repository: str
    tag: str
    padding_bytes: int = 0


@dataclass(frozen=True)
class Wanted:
    """What a site's hosts stand on."""

    bases: frozenset[str]
    programs: frozenset[str]
    servers: Mapping[str, tuple[str, ...]]
    token_server: str
    ssh_hosts: tuple[str, ...]
    images: Mapping[str, tuple[Image, ...]]
