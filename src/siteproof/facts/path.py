"""siteproof_link and siteproof_path: what fits through, from a host's own interface to the internet."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from siteproof.facts.declared import Declared
from siteproof.facts.model import SOMEWHERE, Family, HostsOf, Node, Subjects, Url


class Link(Family):
    """The interface by which a host reaches the internet.

    # A fact of its own for each host: host_vars/<host>.yml may differ.
    siteproof_link:
      mtu: 1400
      # towards: 192.0.2.1               # asked for the way to it; by default an address that nobody has
    """

    name: ClassVar[str] = "link"
    place: ClassVar[int] = 30
    scope: ClassVar[Literal["site", "host"]] = "host"

    mtu: Annotated[int, Field(ge=576, le=65536)]
    """Bytes."""
    towards: IPv4Address = SOMEWHERE
    """An address on the internet. Nothing is sent to it: the kernel is asked by which interface it would."""


class Transfer(Declared):
    """A download of at least 200 KB over the path, and one of the same kind that does not leave the site."""

    name: str
    url: Url
    control: Url

    def __str__(self) -> str:
        return self.name


class InternetPath(Family):
    """The path from the site to the internet.

    siteproof_path:
      sources: k3s,lan                   # include a host whose own MTU does not hide a missing clamp
      mtu: 1400                          # segments must then be 1360 bytes at most
      transfers:
        - name: a large file
          url: https://downloads.example/1MiB              # at least 262,144 bytes, beyond your router
          control: https://forgejo.home.example/siteproof/1MiB   # the same inside the site: a control
    """

    name: ClassVar[str] = "path"
    place: ClassVar[int] = 40

    sources: str
    mtu: Annotated[int, Field(ge=576, le=65536)]
    """The largest packet the whole path carries, in bytes."""
    transfers: Annotated[tuple[Transfer, ...], Field(min_length=1)]

    @property
    def mss(self) -> int:
        """The largest TCP segment of that path over IPv4: without the 20 bytes each of the IP and the TCP header."""
        return self.mtu - 40

    def subjects(self, hosts: HostsOf) -> Subjects:
        return {Node: [Node(h) for h in hosts("sources", self.sources)], Transfer: self.transfers}
