"""Registries: where image pulls can go, as the hosts are configured, whether or not anything is pulled today."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from siteproof.asks import Ask, both, each, note, total
from siteproof.asks.words import Address
from siteproof.facts import Node
from siteproof.facts.pulls import ContainerdNode, DockerHost, Mirrored, Puller, Pulls, Pushed, Pusher, Registry
from siteproof.invariants import Defaults
from siteproof.probes.names.dns import dns_addresses
from siteproof.probes.names.getent import getent_addresses
from siteproof.probes.names.resolver import resolver_servers
from siteproof.probes.pulls.containerd_registries import containerd_registries
from siteproof.probes.pulls.docker_registries import docker_registries
from siteproof.probes.pulls.reflection import reflection
from siteproof.probes.pulls.registry import RegistryAnswer, registry_answer
from siteproof.runtimes.containerd import Containerd
from siteproof.runtimes.dockerd import Dockerd
from siteproof.runtimes.pull_route import NO_PROXIES, Image, Proxies, RegistryEndpoint, upstream_url

invariant = Defaults(family="pulls", severity="critical", gate=True)

CONFIGURED = (
    "where a daemon is told to pull from only its own configuration says; what it dials is pull-live-no-public's"
)


def runtime_of(puller: Puller) -> Ask[Containerd | Dockerd]:
    return docker_registries(puller) if isinstance(puller, DockerHost) else containerd_registries(puller)


def answer_of(
    host: Node, endpoint: RegistryEndpoint, registry: Registry, pulls: Pulls, proxies: Proxies = NO_PROXIES
) -> Ask[RegistryAnswer]:
    image = Image.parse(registry.image)
    return registry_answer(host, endpoint, image, control=pulls.control_url, proxies=proxies)


async def strayed(
    node: Node, dialled: Mapping[str, str], servers: Sequence[Address], pulls: Pulls
) -> dict[str, frozenset[Address]]:
    """Of what is dialled (what for -> name or address), what may be forbidden: asked of the host's own programs and of
    every server that they may come to ask."""
    names, fixed = by_kind(dialled.values())
    lookups: dict[tuple[str, str], Ask[frozenset[Address]]] = {}
    for name in names:
        lookups[name, "getent"] = getent_addresses(node, name, control=pulls.control_name)
        for at in servers:
            lookups[name, f"server {at}"] = dns_addresses(node, name, at=at, control=pulls.control_name)
    found: dict[tuple[str, str], frozenset[Address]] = {key: frozenset({a}) for key, a in fixed.items()}
    found |= await each(lookups)
    forbidden = {key: frozenset(a for a in addresses if pulls.is_forbidden(a)) for key, addresses in found.items()}
    return {
        f"{what}, by {way}": forbidden[name, way]
        for what, host in dialled.items()
        for name, way in forbidden
        if name == host and forbidden[name, way]
    }


def by_kind(hosts: Iterable[str]) -> tuple[list[str], dict[tuple[str, str], Address]]:
    """Names, and addresses as they are."""
    names: list[str] = []
    addresses: dict[tuple[str, str], Address] = {}
    for host in dict.fromkeys(hosts):
        try:
            addresses[host, "its address"] = ip_address(host)
        except ValueError:
            names.append(host)
    return names, addresses


@invariant(
    "pull-static-destinations",
    incident="a mirror that could fall back to a broken path was taken for a fix",
    follows=("dns-split-answer",),
    unwitnessed_because=CONFIGURED,
)
async def test_no_way_that_a_pull_may_take_is_forbidden(puller: Puller, registry: Registry, pulls: Pulls) -> None:
    """Whichever mirror or fallback a pull comes to try, the address behind it is not forbidden, by no resolver.

    Make every name that the runtime may come to resolve to the internal address (`dns-split-answer`), or take the
    endpoint away; a mirror in front of it is no cure while the rest of the list stays.
    """
    runtime, servers = await both(runtime_of(puller), resolver_servers(puller))
    endpoints = runtime.route(registry.name).pulling
    dialled = {endpoint.url: runtime.proxies.dialled(endpoint.url) for endpoint in endpoints}
    assert await strayed(puller, dialled, servers, pulls) == {}


@invariant(
    "pull-nat-reflection",
    gate=False,
    severity="low",
    incident="a router's NAT reflection came and went for weeks before it died",
    follows=("dns-split-answer", "pull-static-destinations"),
    unwitnessed_because=CONFIGURED,
)
async def test_no_pull_hangs_on_a_reflection_that_fails(puller: Puller, registry: Registry, pulls: Pulls) -> None:
    """NAT reflection may work or not; where a pull hangs on it all the same, it does not fail.

    No pull is to need it (`pull-static-destinations`); that it works now and then hides who does.
    """
    runtime, servers = await both(runtime_of(puller), resolver_servers(puller))
    dialled = {e.url: runtime.proxies.dialled(e.url) for e in runtime.route(registry.name).pulling}
    public = frozenset().union(*(await strayed(puller, dialled, servers, pulls)).values())
    seen = await each({address: reflection(puller, address, control=pulls.control_url) for address in public})
    if seen:
        note(f"a pull may hang on NAT reflection: {', '.join(f'{a}, {rate}' for a, rate in seen.items())}")
    assert {address: str(rate) for address, rate in seen.items() if rate.connected < rate.tried} == {}


@invariant(
    "pull-realm-absolute",
    incident="the registry's token service was dialled by its public name, past the mirror",
    follows=("dns-split-answer", "pull-static-destinations"),
    unwitnessed_because="what an endpoint asks for, only curl is told on that host",
)
async def test_the_token_service_is_reached_by_an_allowed_way(puller: Puller, registry: Registry, pulls: Pulls) -> None:
    """The token service that an endpoint sends to is dialled by its name as given, and that is not forbidden.

    Let the realm's name resolve to the internal address on the node; no mirror or hosts.toml moves this leg.
    """
    runtime, servers = await both(runtime_of(puller), resolver_servers(puller))
    endpoints = runtime.route(registry.name).resolving
    answers = await total({e: answer_of(puller, e, registry, pulls, runtime.proxies) for e in endpoints})
    realms = {f"{e}, token of {a.realm}": runtime.proxies.dialled(a.realm) for e, a in answers.items() if a.realm}
    assert await strayed(puller, realms, servers, pulls) == {}
    assert any(answer.serves for answer in answers.values()), {str(e): str(a) for e, a in answers.items()}


@invariant(
    "pull-mirror-bare-ip",
    incident="a mirror by bare address answered 404 to everything, and every pull went on to the public path",
    follows=("dns-split-answer",),
    unwitnessed_because="what an endpoint answers, only curl is told on that host",
)
async def test_a_mirror_answers_as_a_registry(puller: Puller, registry: Registry, pulls: Pulls) -> None:
    """A mirror answers as a registry, or stands before an endpoint that does and is allowed.

    Name the mirror as its certificate and router do; a proxy that routes by name has nothing to offer to an address. Or
    take the mirror away.
    """
    runtime = await runtime_of(puller)
    endpoints = runtime.route(registry.name).resolving
    mirrored = any(endpoint.origin == "mirror" for endpoint in endpoints)
    asked = [e for e in endpoints if mirrored and not e.told_besides]
    answers = await total({e: answer_of(puller, e, registry, pulls, runtime.proxies) for e in asked})
    useless = {str(e): str(a) for e, a in answers.items() if e.origin == "mirror" and not a.serves}
    good = [a for a in answers.values() if a.serves and a.remote and not pulls.is_forbidden(a.remote)]
    for endpoint in endpoints if mirrored and not good else ():
        endpoint.refuse_unless_askable()
    vestigial = useless if good else {}
    if vestigial:
        note(f"vestigial, each pull asks it in vain: {', '.join(f'{url} ({said})' for url, said in vestigial.items())}")
    assert useless == vestigial


@invariant(
    "pull-hosts-toml-parses",
    severity="high",
    incident="a hosts.toml that containerd does not take was silently left out, and pulls went straight upstream",
    unwitnessed_because=CONFIGURED,
)
async def test_containerd_takes_every_hosts_toml(node: ContainerdNode) -> None:
    """Every hosts.toml is one that this version of containerd takes as written.

    Write it as this version of containerd wants it: before 2.0 with at least one [host.…] table.
    """
    assert (await containerd_registries(node)).problems() == {}


@invariant(
    "pull-config-path-active",
    severity="high",
    incident="the mirror that was believed to keep pulls internal",
    unwitnessed_because=CONFIGURED,
)
async def test_containerd_reads_the_declared_directory(node: ContainerdNode, pulls: Pulls) -> None:
    """containerd reads its hosts.toml from the declared directory, and runs with the configuration that is there.

    Set the CRI plugin's registry.config_path, take registry.mirrors away, and restart containerd; k3s reads
    registries.yaml only when it starts.
    """
    seen = await containerd_registries(node)
    written = {
        "config_path": seen.config_path,
        "registry.mirrors": seen.mirrors,
        "newer": seen.newer_than_process,
        "not looked into": seen.lost_roots,
    }
    declared = {"config_path": pulls.config_path, "registry.mirrors": {}, "newer": (), "not looked into": ""}
    if written == declared:
        seen.sure()
    assert written == declared


@invariant(
    "pull-mirror-primary",
    gate=False,
    severity="medium",
    incident="registry pulls ended in TLS handshake timeouts",
    follows=("dns-split-answer", "pull-config-path-active", "pull-hosts-toml-parses"),
    unwitnessed_because=CONFIGURED,
)
async def test_the_mirror_comes_first(node: ContainerdNode, mirrored: Mirrored, pulls: Pulls) -> None:
    """Images of the registry come from its mirror first, tags included, and from upstream as the site wants it.

    Make the mirror the first endpoint of the registry, with the capabilities pull and resolve; `server` says what comes
    after it.
    """
    runtime = await containerd_registries(node)
    route = runtime.route(mirrored.registry.name)
    declared = route.mirror(mirrored.mirror.url)
    answer = await answer_of(node, declared, mirrored.registry, pulls, runtime.proxies)
    seen = {"first": next((e.url for e in route.resolving), ""), "falls back": route.falls_back, "serves": str(answer)}
    required = mirrored.mirror.fallback == "required"
    assert seen == {"first": declared.url, "falls back": required, "serves": "HTTP 200"}


@invariant(
    "pull-push-path",
    gate=False,
    severity="high",
    incident="buildkit's pushes and the CI's git rode the public hairpin first",
    follows=("dns-split-answer",),
    unwitnessed_because="that the registry answers, only curl is told on that host",
)
async def test_a_push_reaches_the_registry_inside(pusher: Pusher, pushed: Pushed, pulls: Pulls) -> None:
    """From a host that pushes, the registry answers, and no resolver gives a forbidden address for it.

    Let the CI host, and the container that its builder resolves in, ask the site's resolver.
    """
    upstream = RegistryEndpoint(upstream_url(pushed.registry.name), "upstream")
    servers, answer = await both(resolver_servers(pusher), answer_of(pusher, upstream, pushed.registry, pulls))
    assert await strayed(pusher, {upstream.url: upstream.host}, servers, pulls) == {}
    assert answer.serves, str(answer)
