"""Path: packets fit all the way to the internet."""

from siteproof.asks import witnessed
from siteproof.facts import Node
from siteproof.facts.path import InternetPath, Link, Transfer
from siteproof.invariants import Defaults
from siteproof.probes.path.curl import transfer as download
from siteproof.probes.path.ip import kernel_links, link_towards

invariant = Defaults(incident="registry pulls ended in TLS handshake timeouts", gate=True)


@invariant(
    "mtu-node", family="link", severity="high", witness="the kernel's own files, /sys/class/net and /proc/net/route"
)
async def test_node_has_the_declared_mtu(node: Node, link: Link) -> None:
    """The interface by which a node reaches the internet has the declared MTU.

    Set the MTU of the interface, now (`ip link set`) and in the network configuration that survives a reboot.
    """
    way = await witnessed(
        link_towards(node, link.towards),
        kernel_links(node),
        agrees=lambda way, kernel: kernel.agree(way, link.towards),
        means=f"ip answers from memory, or the way to {link.towards} just changed",
    )
    assert {way.link.name: way.link.mtu} == {way.link.name: link.mtu}


@invariant(
    "mss-effective",
    family="path",
    severity="critical",
    unwitnessed_because="ss sees the connection of this very curl, but both are one answer, and nobody else sees it",
)
async def test_segments_of_a_transfer_fit_the_path(source: Node, transfer: Transfer, path: InternetPath) -> None:
    """The TCP segments of a real download fit the path, and none of it stalls.

    Clamp the MSS on the gateway in both directions (nft: `tcp flags syn tcp option maxseg size set …`), and let ICMP
    fragmentation-needed through; `rt mtu` does nothing when the narrow link is one hop further out.
    """
    seen = await download(source, transfer.url, control=transfer.control)
    assert not seen.stalled, f"connected to {seen.remote}, then stalled: {seen.stalled_in}"
    assert seen.segment_bytes <= path.mss
