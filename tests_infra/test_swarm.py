"""Swarm: the overlay that everything joins."""

from siteproof.facts import Node, Overlay, Swarm
from siteproof.invariants import invariant
from siteproof.probes.docker import overlay_networks


@invariant(
    "swarm-proxy-subnet",
    family="swarm",
    severity="critical",
    incident="deploys wedged because the proxy overlay ran out of VIPs",
    remedy="In a maintenance window: remove the stacks on it, `docker network rm`, create it again with `--subnet`, "
    "redeploy; and pin the subnet where the network is created.",
    gate=True,
)
async def test_overlay_has_the_declared_subnet(manager: Node, overlay: Overlay, swarm: Swarm) -> None:
    """There is exactly one overlay of the name, attachable and allocated from the declared subnet."""
    networks = await overlay_networks(manager.host)
    seen = [(n.attachable, n.subnets) for n in networks if n.name == overlay.name]
    assert seen == [(overlay.attachable, (overlay.subnet,))]
