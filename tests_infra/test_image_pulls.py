"""Image pulls: they come in by the way that is meant."""

from siteproof.asks import each, note
from siteproof.facts.pulls import ContainerdNode, Group, PullCanary, Pulls, Registry
from siteproof.invariants import Defaults
from siteproof.probes.pulls.containerd_registries import containerd_registries
from siteproof.probes.pulls.crictl import Pull, observed_pull
from siteproof.probes.pulls.crictl_images import images, pull_again
from siteproof.probes.pulls.registry import registry_answer
from siteproof.runtimes.pull_failure import cause
from siteproof.runtimes.pull_route import Image

invariant = Defaults(family="pulls", severity="high")


def went_well(pull: Pull, pulls: Pulls) -> None:
    if pull.whole_host:
        note("the observer could not match containerd's cgroup and saw every connection of the host")
    # A pull that failed has failed whoever dialled what.
    strayed = set() if pull.whole_host and pull.failure else set(pull.strayed(pulls.is_forbidden))
    if not strayed:
        pull.ended()
    seen = {"forbidden dials": strayed, "cause": cause(pull.failure), "failure": pull.failure}
    assert seen == {"forbidden dials": set(), "cause": "", "failure": ""}


@invariant(
    "pull-live-no-public",
    severity="critical",
    incident="image pulls rode the public hairpin",
    gate=True,
    follows=("dns-split-answer", "dns-authority-apex", "pull-static-destinations", "pull-realm-absolute"),
    witness="nftables: what containerd dialled, in a table that only this run has",
)
async def test_a_pull_dials_no_forbidden_address(node: ContainerdNode, pulls: Pulls) -> None:
    """An image pull works, and dials no address that is forbidden to pulls.

    See which name led there (`dns-split-answer`, hosts.toml, the registry's token realm) and make it resolve to the
    internal address; a mirror that may fall back to the public path is no cure.
    """
    pull = await observed_pull(node, pulls.probe_image, deadline_s=pulls.deadline_s)
    if pull.cached:
        note("the image was there before: this shows resolve and auth only, no blob was fetched")
    went_well(pull, pulls)


@invariant(
    "pull-cold-canary",
    incident="cached images masked a dead registry path until a pod came to a node without the image",
    follows=("dns-split-answer", "dns-authority-apex", "pull-static-destinations", "pull-live-no-public"),
    witness="nftables: what containerd dialled, in a table that only this run has",
)
async def test_a_cold_pull_fetches_every_layer(node: ContainerdNode, canary: PullCanary, pulls: Pulls) -> None:
    """An image that the node has nothing of is pulled whole, over allowed addresses alone.

    As for `pull-live-no-public`; if that holds, the layers come from elsewhere than the manifest: see the redirects of
    the registry's blobs.
    """
    pull = await observed_pull(node, canary.image, deadline_s=pulls.deadline_s, cold=True)
    assert not pull.cached, "the image could not be removed first, so that this pull was not a cold one"
    went_well(pull, pulls)


@invariant(
    "pull-retag-cheap",
    incident="registry pulls ended in TLS handshake timeouts, now and then",
    gate=True,
    also=("pull-repeat-known",),
    follows=("dns-split-answer", "dns-authority-apex", "pull-live-no-public"),
    witness="the kernel's count of connections that the host began, which each pull must move",
)
async def test_what_is_there_is_pulled_again(node: ContainerdNode, registry: Registry, pulls: Pulls) -> None:
    """An image that the node has is pulled again, each time and soon: name, token and manifest, no layers.

    The cause says where to look: timeouts at the path (MTU, MSS, NAT) or the resolver, 401 and 404 at the registry,
    x509 at its certificate.
    """
    digest = (await images(node)).by_digest(registry.image)
    deadline_s = int(pulls.deadline_s + pulls.again.times * pulls.again.seconds)
    tries = await pull_again(node, registry.image, digest, times=pulls.again.times, deadline_s=deadline_s)
    seen = [cause(t.failure) or ("slow" if t.seconds > pulls.again.seconds else "pulled") for t in tries]
    assert seen == ["pulled"] * pulls.again.times, f"{seen}: {next(t.failure for t in tries)}"


@invariant(
    "pull-priority-groups",
    severity="medium",
    incident="a pod moved to a node that had only stale copies of its image",
    also=("pull-masked-nodes",),
    follows=("dns-split-answer", "pull-mirror-primary"),
    unwitnessed_because="what is in a node's image store, only its containerd says",
)
async def test_first_images_are_near(node: ContainerdNode, group: Group, pulls: Pulls) -> None:
    """Every image of the group is on the node already, or on a mirror that it reaches.

    Pull the images of the group on every node before they are needed, or have the mirror hold them.
    """
    there = await images(node)
    missing = [Image.parse(name) for name in group.images if name not in there]
    mirrors = {image: mirror for image in missing if (mirror := pulls.mirror_of(image.registry))}
    runtime = await containerd_registries(node) if mirrors else None
    configured = {i: runtime.route(i.registry).mirror(m.url) for i, m in mirrors.items()} if runtime else {}
    answers = await each({i: registry_answer(node, e, i, control=pulls.control_url) for i, e in configured.items()})
    if missing:
        note(f"not on the node: {', '.join(map(str, missing))}")
    nowhere = {str(image) for image in missing if image not in answers or answers[image].status != 200}
    assert {"nowhere near": nowhere} == {"nowhere near": set()}
