"""Image pulls: they come in by the way that is meant."""

from siteproof.asks import note
from siteproof.facts import Node, Pulls
from siteproof.invariants import invariant
from siteproof.probes.crictl import observed_pull


@invariant(
    "pull-live-no-public",
    family="pulls",
    severity="critical",
    incident="image pulls rode the public hairpin",
    remedy="See which name led there (`dns-split-answer`, hosts.toml, the registry's token realm) and make it resolve "
    "to the internal address; a mirror that may fall back to the public path is no cure.",
    gate=True,
    probe_class="borrows",
    follows=("dns-split-answer",),
)
async def test_a_pull_dials_no_forbidden_address(node: Node, pulls: Pulls) -> None:
    """An image pull works, and dials no address that is forbidden to pulls."""
    pull = await observed_pull(node.host, pulls.probe_image, deadline_s=pulls.deadline_s)
    strayed = {f"{address}:{port}" for address, port in pull.dialled if any(address in net for net in pulls.forbidden)}
    if pull.cached:
        note("the image was there before: this shows resolve and auth only, no blob was fetched")
    if pull.whole_host:
        note("the observer could not match containerd's cgroup and saw every connection of the host")
    assert {"forbidden dials": strayed, "failure": pull.failure} == {"forbidden dials": set(), "failure": ""}
