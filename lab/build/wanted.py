"""What a site's hosts stand on, as a value: two sites that want the same of something share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OWN = ""
"""The name of the base that is the machine's own release."""


@dataclass(frozen=True)
class Image:
    """What one tag is to hold: busybox, and as many bytes of padding as its real counterpart is heavy."""

    repository: str
    tag: str
    padding_bytes: int = 0


@dataclass(frozen=True)
class Wanted:
    """Of a site: which bases its hosts are of, which programs Debian does not have, and who holds which certificate."""

    bases: frozenset[str]
    """Names of lab/build/bases.py."""
    programs: frozenset[str]
    """Names of lab/build/binaries.py, which are those of the files."""
    servers: Mapping[str, tuple[str, ...]]
    """By certificate: the names that it is for, the first of them its common name."""
    token_server: str
    ssh_hosts: tuple[str, ...]
    images: Mapping[str, tuple[Image, ...]]
    """By the storage directory of the registry that has them."""
