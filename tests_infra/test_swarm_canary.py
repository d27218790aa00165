"""Swarm, by trying: services of our own on an overlay, for seconds. Only with --changes."""

from siteproof.analysis.addresses import overlay_fill
from siteproof.analysis.swarm_witness import agreed
from siteproof.errors import NoControl
from siteproof.facts.swarm import DeployCanary, LeakBudget, Manager
from siteproof.invariants import Defaults
from siteproof.probes.swarm.swarm_canary import allocation_canary, deploy_canary

invariant = Defaults(family="swarm", severity="high")


@invariant(
    "swarm-leak",
    incident="removals of stacks lost addresses until none was left",
    witness="dockerd's API, which must know this run's own service; docker's command line beside what it counts",
)
async def test_released_addresses_come_back(manager: Manager, budget: LeakBudget) -> None:
    """Of an overlay's addresses that nobody can be seen to hold, no more are lost than the budget allows by day.

    Restart dockerd in a quiet moment: it builds its bookkeeping anew. Remove stacks one after the other.
    """
    fill = await agreed(manager, overlay_fill(manager, manager.members, budget.overlay), lambda fill: fill.swarm)
    counted, allowed = fill.use, int(budget.per_day * max(1.0, fill.daemon.up_days))
    lost = counted.lost
    if counted.hides_lost:
        # Take all but what may be lost: if each task gets an address, no more is, and the overlay was never full.
        wanted = counted.free - allowed
        if not 0 < wanted <= budget.take_at_most:
            raise NoControl(f"to count the lost addresses {wanted} would have to be taken, of {counted.free} free ones")
        canary = allocation_canary(manager, budget.overlay, addresses=wanted, at_most=budget.take_at_most)
        waiting = (await canary).in_state("New")
        lost = allowed + waiting if waiting else 0
    assert lost is not None and lost <= allowed


@invariant(
    "swarm-fresh-deploy",
    incident="deploys wedged because the proxy overlay ran out of VIPs",
    follows=("swarm-headroom", "swarm-stuck-new"),
    witness="dockerd's API, which must know this run's own service by its name and id",
)
async def test_a_fresh_deploy_runs(manager: Manager, canary: DeployCanary) -> None:
    """A service that is deployed on an overlay now runs within the declared time.

    See what the canary's task was waiting for: New is the allocator's doing, Pending a node's, Rejected and Failed the
    image's.
    """
    seen = await deploy_canary(manager, canary.overlay, canary.image, canary.command, deadline_s=canary.within_s)
    assert (seen.states, seen.errors) == ((("Running", 1),), ())
