"""The lab's topology: what is read, and that every refusal is one sentence naming its key."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from lab import topology
from lab.errors import UsageError
from lab.topology import load, parse
from lab.topology_host import TopologyError

TEMPLATES = ["edge/nftables.conf", "units/traefik.service"]
SITE = """
[segments]
lan = "192.168.0.0/24"
core = "198.18.1.0/30"

[sysctl]
"net.ipv4.ip_forward" = 0

[hosts.edge]
mode = "systemd"
links.wan = { segment = "core", addresses = ["198.18.1.1/30"] }
links.lan = { segment = "lan", addresses = ["192.168.0.1/24", "192.168.0.2/24"], mtu = 1400 }
loopback = ["198.18.53.8/32"]
routes = { default = "198.18.1.2" }
sysctl = { "net.ipv4.ip_forward" = 1 }
services = ["nftables", "traefik"]
files = { "/etc/nftables.conf" = "edge/nftables.conf" }
binds = { "/usr/local/bin/traefik" = "bin/traefik" }

[hosts.home]
mode = "bare"
links.eth0 = { segment = "lan", addresses = ["192.168.0.10/24"] }
"""


def test_a_host_is_read_as_it_is_written() -> None:
    site = parse(SITE, TEMPLATES)
    edge = site.hosts["edge"]
    assert site.segments["lan"] == IPv4Network("192.168.0.0/24")
    assert [(link.name, link.mtu) for link in edge.links] == [("wan", 1500), ("lan", 1400)]
    assert edge.loopback == (IPv4Interface("198.18.53.8/32"),)
    assert (edge.routes[0].target, edge.routes[0].gateway) == (IPv4Network("0.0.0.0/0"), IPv4Address("198.18.1.2"))
    assert edge.addresses[-1] == IPv4Address("198.18.53.8")
    assert [host.name for host in site.systemd_hosts] == ["edge"]


def test_a_host_starts_from_the_shared_sysctls_and_its_own_win() -> None:
    site = parse(SITE, TEMPLATES)
    assert site.hosts["edge"].sysctl == {"net.ipv4.ip_forward": "1"}
    assert site.hosts["home"].sysctl == {"net.ipv4.ip_forward": "0"}


def test_a_template_gets_addresses_by_host_and_link() -> None:
    site = parse(SITE, TEMPLATES)
    filled = site.fill("@{name}: @{edge.lan} @{edge.lan.1} @{edge.lo.0}", "home", "x.conf")
    assert filled == "home: 192.168.0.1 192.168.0.2 198.18.53.8"


@pytest.mark.parametrize("word", ["edge", "edge.lan.2", "edge.dmz", "edgy.lan", "edge.lan.x.y", ""])
def test_a_template_that_names_no_address_is_refused(word: str) -> None:
    with pytest.raises(TopologyError, match="x.conf: .* names no address"):
        parse(SITE, TEMPLATES).fill(f"@{{{word}}}", "home", "x.conf")


REFUSED = [
    ("192.168.0.10/24", "192.168.0.1/24", "hosts.home.links.eth0.addresses: 192.168.0.1 is already edge's"),
    ("192.168.0.10/24", "192.168.1.10/24", "hosts.home.links.eth0.addresses: 192.168.1.10/24 is not in lan"),
    ("192.168.0.10/24", "192.168.0.10", "hosts.home.links.eth0.addresses: 192.168.0.10 has no prefix length"),
    ("192.168.0.10/24", "192.168.0.300/24", "hosts.home.links.eth0.addresses: .*300"),
    ("198.18.53.8/32", "192.168.0.10/32", "hosts.edge.loopback|hosts.home.links.eth0.addresses"),
    ('eth0 = { segment = "lan"', 'eth0 = { segment = "lane"', r"eth0.segment: unknown segment lane \(did you mean lan"),
    ("mtu = 1400", "mtu = 140", "hosts.edge.links.lan.mtu: 140 is not an MTU"),
    ("mtu = 1400", 'mtu = "1400"', "hosts.edge.links.lan.mtu: 1400 is not an MTU"),
    ("mtu = 1400", "mut = 1400", r"hosts.edge.links.lan.mut: unknown key \(did you mean mtu\?\)"),
    ('default = "198.18.1.2"', 'default = "10.0.0.1"', "edge.routes.default: the gateway 10.0.0.1 is not on-link"),
    ('default = "198.18.1.2"', 'defualt = "198.18.1.2"', "hosts.edge.routes.defualt: "),
    ('"nftables", "traefik"', '"nftable"', r"edge.services: unknown service nftable \(did you mean nftables\?\)"),
    ('mode = "bare"', 'mode = "bear"', "hosts.home.mode: bear; it is one of systemd, bare, operator"),
    ('mode = "bare"', 'mode = "bare"\nservices = ["nftables"]', "home.services: only a systemd host runs services"),
    ('mode = "bare"', 'mode = "bare"\nresolver = "resolved"', "home.resolver: resolved, but"),
    ('mode = "bare"', 'mode = "bare"\nservice = []', r"hosts.home.service: unknown key \(did you mean services\?\)"),
    ('mode = "bare"', 'mode = "bare"\ndisks = ["var"]', "hosts.home.disks: var is not an absolute path"),
    ('"edge/nftables.conf"', '"edge/nftable.conf"', "/etc/nftables.conf comes from edge/nftable.conf, which is not"),
    ('"/etc/nftables.conf"', '"etc/nftables.conf"', "hosts.edge: etc/nftables.conf is not an absolute path"),
    ('"bin/traefik"', '"edge/nftables.conf"', "/usr/local/bin/traefik comes from edge/nftables.conf"),
    ("net.ipv4.ip_forward", "kernel.core_pattern", "sysctl.kernel.core_pattern: only net"),
    ("[hosts.home]", "[hosts.Home_Server]", "hosts.Home_Server: a host's name is a short lower-case word"),
    ("[segments]", "[segment]", r"segment: unknown key \(did you mean segments\?\)"),
    ('lan = "192.168.0.0/24"', 'lan = "192.168.0.1/24"', "segments.lan: .*host bits"),
]


@pytest.mark.parametrize(("old", "new", "said"), REFUSED, ids=[new for _, new, _ in REFUSED])
def test_a_wrong_topology_is_refused_in_one_sentence_that_names_the_key(old: str, new: str, said: str) -> None:
    assert old in SITE
    with pytest.raises(TopologyError, match=said) as refused:
        parse(SITE.replace(old, new), TEMPLATES)
    assert "\n" not in str(refused.value)


def test_what_is_not_toml_and_what_has_no_host_is_refused() -> None:
    with pytest.raises(TopologyError, match="not TOML"):
        parse("[hosts", TEMPLATES)
    with pytest.raises(TopologyError, match="hosts: there are none"):
        parse('[segments]\nlan = "192.168.0.0/24"\n', TEMPLATES)


@pytest.mark.parametrize("name", topology.sites())
def test_a_shipped_topology_is_valid_and_its_templates_can_be_filled(name: str) -> None:
    site = load(name)
    for host in site.hosts.values():
        for source in host.files.values():
            if not source.startswith("assets/"):
                assert "@{" not in site.fill(site.template(source).read_text(), host.name, source)


@pytest.mark.parametrize("name", topology.sites())
def test_a_shipped_topology_stays_off_addresses_that_are_someones(name: str) -> None:
    public = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15"]
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
    networks = [IPv4Network(a) for a in (*public, *private)]
    for host in load(name).hosts.values():
        for address in host.addresses:
            assert any(address in network for network in networks), (host.name, address)


def test_a_refusal_of_the_shipped_file_names_the_file(tmp_path: Path) -> None:
    wrong = tmp_path / "lab/topology.toml"
    wrong.parent.mkdir()
    wrong.write_text("[host]\n")
    with pytest.raises(TopologyError, match=r"^lab/topology.toml: host: unknown key"):
        load(place=tmp_path)


def test_no_check_and_no_probe_names_the_other_site() -> None:
    """What is judged there is judged by what its inventory says, and by nothing that was written for it."""
    site = load("other")
    common = {"operator", "attic", "desk", "gate", "entry", "vantage"}
    own = {"attic.example", *site.hosts, *(str(a) for host in site.hosts.values() for a in host.addresses)} - common
    own |= {str(network) for network in site.segments.values()}
    words = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, sorted(own)))})(?![\w-])")
    for place in ("src", "tests_infra"):
        for path in (topology.HERE.parent / place).rglob("*"):
            if path.suffix in (".py", ".sh", ".html", ".toml"):
                assert not words.search(path.read_text()), path


def test_a_site_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no site othr \(did you mean other\?\)"):
        load("othr")


SAYS = SITE.replace(
    "[segments]",
    """
login = "ops"
token_server = "token.@{zone}"
[roles]
gateway = "edge"
every = ["edge", "home"]
[words]
zone = "home.example"
address = "@{gateway.lan}"
[servers]
home = ["@{zone}", "*.@{zone}"]
[images.shelf]
"tools/clock:7.2" = 12
[[ready]]
on = "role:gateway"
steps = [{ what = "@{zone} is there", run = "echo @{address} @{name}", prints = "192.168.0.1 edge" }]
[segments]""",
)


def test_a_site_says_who_plays_which_role_and_what_it_calls_things() -> None:
    site = parse(SAYS, TEMPLATES)
    assert site.on("role:every", "x") == ("edge", "home")
    assert site.on("home", "x") == ("home",)
    assert (
        site.fill("@{gateway} @{gateway.lan.1} @{zone} @{address}", "", "x")
        == "edge 192.168.0.2 home.example 192.168.0.1"
    )
    [[step]] = site.ready
    assert (step.host, step.command) == ("edge", "echo 192.168.0.1 edge")
    wanted = site.wanted
    assert wanted.servers == {"home": ("home.example", "*.home.example")}
    assert wanted.token_server == "token.home.example"
    assert wanted.images["shelf"][0].tag == "7.2"
    assert wanted.programs == {"traefik"}
    assert site.login == "ops"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('gateway = "edge"', 'gateway = "edgy"', r"roles.gateway: no host edgy \(did you mean edge\?\)"),
        ('gateway = "edge"', "gateway = []", "roles.gateway: no host is it"),
        ('zone = "home.example"', 'zone = "@{nobody}"', "words.zone: @{nobody} names no address"),
        ('zone = "home.example"', 'gateway = "x"', "words.gateway: a host, a role or an address is called so"),
        ("role:gateway", "role:gatewy", r"ready.0.on: no role gatewy \(did you mean gateway\?\)"),
        (', prints = "192.168.0.1 edge"', "", "ready.0.steps: a step has `what`, `run` and what it `prints`"),
        ('"tools/clock:7.2" = 12', '"tools/clock" = 12', "images.shelf.tools/clock: an image is `REPOSITORY:TAG`"),
        ('login = "ops"', 'login = "Ops"', "login: Ops cannot be the name of a user"),
    ],
)
def test_what_a_site_says_wrongly_is_refused(old: str, new: str, said: str) -> None:
    assert old in SAYS
    with pytest.raises(TopologyError, match=said):
        parse(SAYS.replace(old, new), TEMPLATES)


def test_a_chain_is_walked_on_each_of_its_hosts() -> None:
    both = SAYS.replace('on = "role:gateway"', 'on = ["role:gateway", "home"]').replace("192.168.0.1 edge", "it")
    assert [(step.host, step.command) for [step] in parse(both, TEMPLATES).ready] == [
        ("edge", "echo 192.168.0.1 edge"),
        ("home", "echo 192.168.0.1 home"),
    ]
