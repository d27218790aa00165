"""Path: packets fit all the way to the internet."""

from siteproof.facts import Node
from siteproof.facts.path import InternetPath, Link, Transfer
from siteproof.invariants import Defaults
from siteproof.probes.path.curl import transfer as download
from siteproof.probes.path.ip import default_link

invariant = Defaults(incident="registry pulls ended in TLS handshake timeouts", gate=True)


@invariant("mtu-node", family="link", severity="high")
async def test_node_has_the_declared_mtu(node: Node, link: Link) -> None:
    """The interface of a node's default route has the declared MTU.

    Set the MTU of the interface, now (`ip link set`) and in the network configuration that survives a reboot.
    """
    seen = await default_link(node)
    assert {seen.name: seen.mtu} == {seen.name: link.mtu}


@invariant("mss-effective", family="path", severity="critical")
async def test_segments_of_a_transfer_fit_the_path(source: Node, transfer: Transfer, path: InternetPath) -> None:
    """The TCP segments of a real download fit the path, and none of it stalls.

    Clamp the MSS on the gateway in both directions (nft: `tcp flags syn tcp option maxseg size set …`), and let ICMP
    fragmentation-needed through; `rt mtu` does nothing when the narrow link is one hop further out.
    """
    seen = await download(source, transfer.url, control=transfer.control)
    assert not seen.stalled, f"connected to {seen.remote}, then stalled: {seen.stalled_in}"
    assert seen.segment_bytes <= path.mss
