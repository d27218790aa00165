"""Where a pull can go, by version and flavour of containerd, by its files, by dockerd's settings, by proxies.

The files are inputs of a model, written as containerd's and k3s' own documentation does; the lab's real containerd is
asked in the lab's faults mirror-a to mirror-e.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from siteproof.errors import NoControl, Unparseable
from siteproof.runtimes.containerd import Containerd, parse_hosts
from siteproof.runtimes.containerd_settings import NotTaken, Version, config_path_of, registry_settings
from siteproof.runtimes.dockerd import Dockerd
from siteproof.runtimes.pull_route import Image, Proxies, PullRoute, RegistryEndpoint, rewritten, upstream_url

ROOT = "/etc/containerd/certs.d"
FORGEJO = "forgejo.home.example"
UPSTREAM = f"https://{FORGEJO}/v2"
MIRROR = "https://10.0.20.203/v2"
OLD, NEW, FORK = "1.6.20~ds1", "v2.0.0", "v1.7.11-k3s2"

A = f"""
server = "https://{FORGEJO}"
[host."https://10.0.20.203"]
  capabilities = ["pull", "resolve"]
  skip_verify = true
"""
B = '[host."https://10.0.20.203"]\nskip_verify = true\n'
C = 'server = "https://10.0.20.203"\nskip_verify = true\n'


def containerd(version: str, hosts: str | None = None, *, name: str = FORGEJO, **more: Any) -> Containerd:
    directories = {} if hosts is None else {f"{ROOT}/{name}": hosts}
    return Containerd(
        **{
            "version": Version.parse(version),
            "config_path": ROOT,
            "mirrors": {},
            "directories": directories,
            **more,
        }
    )


def urls(route: PullRoute) -> list[str]:
    return [endpoint.url for endpoint in route.endpoints]


@pytest.mark.parametrize("version", [OLD, "v1.7.27", NEW, "v2.3.4", FORK])
def test_without_a_file_a_pull_goes_to_the_registry_itself(version: str) -> None:
    assert urls(containerd(version).route(FORGEJO)) == [UPSTREAM]


@pytest.mark.parametrize("version", [OLD, NEW, FORK])
def test_matrix_a_the_mirror_then_the_server(version: str) -> None:
    route = containerd(version, A).route(FORGEJO)
    assert urls(route) == [MIRROR, UPSTREAM]
    assert route.falls_back
    assert [e.skip_verify for e in route.endpoints] == [True, False]
    assert route.endpoints[0].address is not None


@pytest.mark.parametrize(
    ("version", "wanted"), [(OLD, [MIRROR, UPSTREAM]), (NEW, [MIRROR, UPSTREAM]), (FORK, [MIRROR])]
)
def test_matrix_b_without_a_server_only_the_fork_stays_away_from_upstream(version: str, wanted: list[str]) -> None:
    assert urls(containerd(version, B).route(FORGEJO)) == wanted


def test_in_the_fork_an_empty_server_is_the_registry_itself() -> None:
    assert urls(containerd(FORK, f'server = ""\n{B}').route(FORGEJO)) == [MIRROR, UPSTREAM]


@pytest.mark.parametrize("version", ["1.5.18", OLD, "v1.7.27", FORK])
def test_matrix_c_before_2_a_file_without_host_tables_is_not_taken(version: str) -> None:
    seen = containerd(version, C)
    assert urls(seen.route(FORGEJO)) == [UPSTREAM]
    assert list(seen.problems()) == [f"{ROOT}/{FORGEJO}/hosts.toml"]
    assert "[host.…]" in seen.route(FORGEJO).problem


def test_matrix_c_from_2_on_it_is_taken() -> None:
    seen = containerd(NEW, C)
    assert urls(seen.route(FORGEJO)) == [MIRROR]
    assert seen.problems() == {}
    assert seen.route(FORGEJO).endpoints[0].skip_verify


@pytest.mark.parametrize("version", [OLD, FORK])
def test_an_empty_host_table_is_enough(version: str) -> None:
    """k3s writes one for this reason."""
    assert urls(containerd(version, f"{C}[host]\n").route(FORGEJO)) == [MIRROR]


def test_the_server_comes_last_wherever_it_stands_and_hosts_in_the_order_of_the_file() -> None:
    text = 'server = "https://u.example"\n' + "".join(f'[host."https://{m}.example"]\n' for m in "cab")
    wanted = [f"https://{m}.example/v2" for m in "cabu"]
    assert urls(containerd(OLD, text).route(FORGEJO)) == wanted
    assert urls(containerd(NEW, text).route(FORGEJO)) == wanted


INLINE = '[host]\n"https://m.example" = {capabilities = ["pull"]}\n'


def test_from_2_on_a_host_without_a_header_of_its_own_is_not_seen() -> None:
    assert urls(containerd(OLD, INLINE).route(FORGEJO)) == ["https://m.example/v2", UPSTREAM]
    assert urls(containerd(NEW, INLINE).route(FORGEJO)) == [UPSTREAM]


def test_a_table_below_a_host_is_no_other_host() -> None:
    text = '[host."https://m.example"]\n[host."https://m.example".header]\nx-a = "b"\n'
    assert urls(containerd(NEW, text).route(FORGEJO)) == ["https://m.example/v2", UPSTREAM]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[host", "not TOML"),
        ('server = "a"\nserver = "b"\n[host]\n', "not TOML"),
        ('[host."https://m.example"]\ncapabilities = ["fetch"]\n', "unknown capability fetch"),
        ('[host."https://m.example"]\ncapabilities = "pull"\n', "no list of words"),
        ('[host."https://m.example:x"]\n', "no URL"),
        ("server = 1\n[host]\n", "`server` is no text"),
        ('host = "m.example"\n', "host"),
    ],
)
def test_a_file_that_is_not_taken(text: str, said: str) -> None:
    with pytest.raises(NotTaken, match=said.replace("[", r"\[")):
        parse_hosts(text, Version.parse(OLD))
    assert urls(containerd(OLD, text).route(FORGEJO)) == [UPSTREAM]
    with pytest.raises(NotTaken):
        parse_hosts(text, Version.parse(NEW))


def test_what_a_mirror_may() -> None:
    """Pull alone: the tag is still resolved upstream."""
    route = containerd(OLD, '[host."https://m.example"]\ncapabilities = ["pull"]\n').route(FORGEJO)
    assert [e.url for e in route.resolving] == [UPSTREAM]
    assert [e.url for e in route.pulling] == ["https://m.example/v2", UPSTREAM]


def test_referrers_are_no_way_to_pull() -> None:
    route = containerd("v2.3.4", '[host."https://m.example"]\ncapabilities = ["referrers"]\n').route(FORGEJO)
    assert [e.url for e in route.pulling] == [UPSTREAM]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("https://m.example", "https://m.example/v2"),
        ("https://m.example/", "https://m.example/v2"),
        ("https://m.example/v2/", "https://m.example/v2"),
        ("https://m.example/harbor", "https://m.example/harbor/v2"),
        ("http://m.example:5000", "http://m.example:5000/v2"),
        ("m.example", "https://m.example/v2"),
    ],
)
def test_where_the_api_is(host: str, url: str) -> None:
    assert urls(containerd(OLD, f'[host."{host}"]\n').route(FORGEJO))[0] == url


def test_a_path_that_is_used_as_it_is() -> None:
    text = '[host."https://m.example/harbor"]\noverride_path = true\n'
    assert urls(containerd(OLD, text).route(FORGEJO))[0] == "https://m.example/harbor"


def test_certificates_beside_the_file() -> None:
    text = '[host."https://m.example"]\nca = ["ca.crt", "/etc/ca.crt"]\n'
    assert containerd(OLD, text).route(FORGEJO).endpoints[0].ca == (f"{ROOT}/{FORGEJO}/ca.crt", "/etc/ca.crt")


def test_the_default_directory_is_for_registries_without_their_own() -> None:
    seen = containerd(OLD, directories={f"{ROOT}/_default": A, f"{ROOT}/ghcr.io": B})
    assert urls(seen.route(FORGEJO)) == [MIRROR, UPSTREAM]
    assert urls(seen.route("ghcr.io")) == [MIRROR, "https://ghcr.io/v2"]


@pytest.mark.parametrize("text", [None, ""])
def test_a_directory_without_a_file_hides_the_default_one(text: str | None) -> None:
    seen = containerd(OLD, directories={f"{ROOT}/_default": A, f"{ROOT}/{FORGEJO}": text})
    assert urls(seen.route(FORGEJO)) == [UPSTREAM]


@pytest.mark.parametrize("directory", ["r.example_5000_", "r.example:5000"])
def test_a_registry_with_a_port(directory: str) -> None:
    seen = containerd(OLD, directories={f"{ROOT}/{directory}": B, f"{ROOT}/r.example": A})
    assert urls(seen.route("r.example:5000")) == [MIRROR, "https://r.example:5000/v2"]


def test_of_several_roots_the_first_decides_even_by_its_default() -> None:
    two = f"{ROOT}:/etc/docker/certs.d"
    seen = containerd(OLD, config_path=two, directories={f"{ROOT}/_default": A, f"/etc/docker/certs.d/{FORGEJO}": B})
    assert seen.route(FORGEJO).source == f"{ROOT}/_default/hosts.toml"
    seen = containerd(OLD, config_path=two, directories={f"/etc/docker/certs.d/{FORGEJO}": B})
    assert urls(seen.route(FORGEJO)) == [MIRROR, UPSTREAM]


def test_without_config_path_the_files_count_for_nothing_and_mirrors_do() -> None:
    mirrors = {"docker.io": ("https://m.example", "n.example"), "*": ("http://any.example",)}
    seen = containerd(OLD, A, config_path="", mirrors=mirrors)
    assert urls(seen.route("docker.io")) == [
        "https://m.example/v2",
        "https://n.example/v2",
        "https://registry-1.docker.io/v2",
    ]
    assert urls(seen.route(FORGEJO)) == ["http://any.example/v2", UPSTREAM]
    assert urls(containerd(OLD, A, config_path="").route(FORGEJO)) == [UPSTREAM]


def test_a_mirror_list_that_names_the_registry_itself_ends_with_it() -> None:
    seen = containerd(OLD, config_path="", mirrors={FORGEJO: (f"https://{FORGEJO}", "https://m.example")})
    assert urls(seen.route(FORGEJO)) == [UPSTREAM, "https://m.example/v2"]


def test_the_names_that_are_dialled_upstream() -> None:
    assert upstream_url("docker.io") == "https://registry-1.docker.io/v2"
    assert upstream_url("localhost:5000") == "http://localhost:5000/v2"
    assert upstream_url("127.0.0.1:5000") == "http://127.0.0.1:5000/v2"


def test_a_mirror_is_told_the_name_of_the_registry() -> None:
    mirror, upstream = RegistryEndpoint(MIRROR, "mirror"), RegistryEndpoint(UPSTREAM, "upstream")
    assert mirror.manifest_url(FORGEJO, "a/b", "1") == f"{MIRROR}/a/b/manifests/1?ns={FORGEJO}"
    assert upstream.manifest_url(FORGEJO, "a/b", "1") == f"{UPSTREAM}/a/b/manifests/1"


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ({"io.containerd.grpc.v1.cri": {"registry": {"config_path": ROOT, "mirrors": {}}}}, (ROOT, {}, False)),
        ({"io.containerd.cri.v1.images": {"registry": {"config_path": ROOT}}}, (ROOT, {}, False)),
        (
            {
                "io.containerd.grpc.v1.cri": {
                    "registry": {"mirrors": {"a.example": {"endpoint": ["https://m.example"]}}}
                }
            },
            ("", {"a.example": ("https://m.example",)}, True),
        ),
    ],
)
def test_settings_of_every_version(settings: dict[str, Any], read: tuple[str, dict[str, Any], bool]) -> None:
    seen = registry_settings({"plugins": settings})
    assert (seen.config_path, seen.mirrors, seen.pulls_itself) == read


TWO = f"{ROOT}:/etc/docker/certs.d"


@pytest.mark.parametrize(
    ("version", "more", "wanted"),
    [
        ("v2.0.4", {}, [MIRROR, UPSTREAM]),
        ("2.1.4", {}, [UPSTREAM]),
        ("v2.2.0", {}, [UPSTREAM]),
        ("v2.2.0", {"pulls_itself": True}, [MIRROR, UPSTREAM]),
        ("v2.2.0", {"config_path": ROOT}, [MIRROR, UPSTREAM]),
    ],
)
def test_the_transfer_service_takes_a_list_of_roots_for_one(
    version: str, more: dict[str, Any], wanted: list[str]
) -> None:
    seen = containerd(version, A, **{"config_path": TWO, **more})
    assert urls(seen.route(FORGEJO)) == wanted
    lost = wanted == [UPSTREAM]
    assert (list(seen.problems()), seen.route(FORGEJO).problem != "") == ([f"{ROOT}/{FORGEJO}/hosts.toml"] * lost, lost)


@pytest.mark.parametrize("version", ["2.1.10", "v2.4.3", "2.5.0", "3.0.0"])
def test_a_transfer_service_that_nobody_has_looked_at_may_know_lists(version: str) -> None:
    seen = containerd(version, A, config_path=TWO)
    for ask in (lambda: seen.route(FORGEJO), seen.problems, lambda: seen.lost_roots):
        with pytest.raises(Unparseable, match="nobody has looked"):
            ask()
    assert urls(containerd(version, A, config_path=ROOT).route(FORGEJO)) == [MIRROR, UPSTREAM]
    assert urls(containerd(version, A, config_path=TWO, pulls_itself=True).route(FORGEJO)) == [MIRROR, UPSTREAM]


@pytest.mark.parametrize(
    ("version", "dumped", "has_mirrors", "is_for_the_daemon"),
    [
        ("1.7.24", "", False, ""),
        ("2.1.9", "", False, ""),
        ("2.2.0", TWO, False, TWO),
        ("2.2.2", "", False, TWO),
        ("2.4.2+unknown", "", False, TWO),
        ("2.4.2", "", True, ""),
        ("2.4.2", ROOT, False, ROOT),
    ],
)
def test_an_empty_config_path_is_two_directories_since_2_2(
    version: str, dumped: str, has_mirrors: bool, is_for_the_daemon: str
) -> None:
    assert config_path_of(Version.parse(version), dumped, has_mirrors) == is_for_the_daemon


@pytest.mark.parametrize(
    ("setting", "value", "itself"),
    [
        ("use_local_image_pull", True, True),
        ("use_local_image_pull", False, False),
        ("disable_snapshot_annotations", False, True),
        ("disable_snapshot_annotations", True, False),
        ("discard_unpacked_layers", True, True),
        ("image_pull_with_sync_fs", True, True),
        ("max_concurrent_downloads", 5, True),
        ("max_concurrent_downloads", 3, False),
    ],
)
def test_what_makes_the_cri_plugin_pull_by_itself(setting: str, value: object, itself: bool) -> None:
    plugin = {"io.containerd.cri.v1.images": {setting: value, "registry": {"config_path": TWO}}}
    assert registry_settings({"plugins": plugin}).pulls_itself is itself
    for key in ("configs", "auths"):
        plugin = {"io.containerd.cri.v1.images": {"registry": {key: {"r.example": {"auth": {}}}}}}
        assert registry_settings({"plugins": plugin}).pulls_itself


def legacy(**registry: Any) -> Containerd:
    seen = registry_settings({"plugins": {"io.containerd.grpc.v1.cri": {"registry": registry}}})
    return containerd(
        FORK, config_path="", mirrors=seen.mirrors, tls=seen.tls, rewrites=seen.rewrites, headers=seen.headers
    )


def test_legacy_tls_is_of_the_endpoint_and_not_of_the_registry() -> None:
    hub = {"endpoint": ["https://m.example"]}
    tls = {
        "m.example": {"tls": {"insecure_skip_verify": True}},
        "docker.io": {"tls": {"insecure_skip_verify": True}},
        "ghcr.io": {"tls": {"ca_file": "/etc/g.pem", "cert_file": "", "key_file": ""}},
        "quay.io": {"tls": {"cert_file": "/etc/c.pem", "key_file": "/etc/k.pem"}, "auth": {"auth": ""}},
    }
    seen = legacy(mirrors={"docker.io": hub}, configs=tls)
    assert [e.skip_verify for e in seen.route("docker.io").endpoints] == [True, False]
    assert seen.route("ghcr.io").endpoints[0].ca == ("/etc/g.pem",)
    seen.route("ghcr.io").endpoints[0].refuse_unless_askable()
    with pytest.raises(NoControl, match="quay.io/v2 cannot be asked .* client's certificate"):
        seen.route("quay.io").endpoints[0].refuse_unless_askable()


def test_legacy_rewrites_are_of_the_fork() -> None:
    mirrors = {"docker.io": {"endpoint": ["https://m.example"], "rewrite": {"^(.*)$": "hub/$1"}}}
    assert "m.example/v2/hub/a/b/manifests" in legacy(mirrors=mirrors).route("docker.io").endpoints[0].manifest_url(
        "docker.io", "a/b", "1"
    )
    assert not legacy(mirrors=mirrors).route("ghcr.io").endpoints[0].rewrites


def test_headers_of_all_endpoints_are_told() -> None:
    endpoint = legacy(headers={"User-Agent": ["x"], "X-Route": ["y"]}).route("ghcr.io").endpoints[0]
    with pytest.raises(NoControl, match="the headers X-Route of"):
        endpoint.refuse_unless_askable()
    legacy(headers={"User-Agent": ["x"]}).route("ghcr.io").endpoints[0].refuse_unless_askable()


@pytest.mark.parametrize(
    ("pattern", "template", "repository", "wanted"),
    [
        ("^(.*)$", "dockerhub/$1", "library/busybox", "dockerhub/library/busybox"),
        ("(.*)", "p/$1", "a/b", "p/a/b"),
        ("^library/(.*)", "hub/${1}", "library/a", "hub/a"),
        ("^library/(.*)", "hub/$1", "other/a", "other/a"),
        ("^rancher/(.+)$", "r/$1x", "rancher/a", "r/"),
        ("^(.*)/(.*)$", "$2-$1$$", "a/b", "b-a$"),
        ("^([^/]+)/", "$1-", "a/b/c", "a-b/c"),
    ],
)
def test_a_repository_is_renamed_as_go_does(pattern: str, template: str, repository: str, wanted: str) -> None:
    assert rewritten(repository, pattern, template) == wanted


@pytest.mark.parametrize(
    "pattern", [r"(?i)^a", r"\pL+", "a{1,1000}", "[[:alpha:]]+", "(a|b)", "((.*))*", ".*.*.*.*a", "(", "a**"]
)
def test_a_pattern_of_another_kind_is_not_read_by_python(pattern: str) -> None:
    with pytest.raises(ValueError, match="not one that is understood"):
        rewritten("a/b", pattern, "$1")
    endpoint = RegistryEndpoint(MIRROR, "mirror", rewrites=((pattern, "$1"),))
    with pytest.raises(NoControl, match="cannot be asked"):
        endpoint.manifest_url("docker.io", "a/b", "1")


def test_of_several_rewrites_at_most_one_may_count() -> None:
    two = (("^a/(.*)", "x/$1"), ("^(.*)$", "y/$1"))
    with pytest.raises(NoControl, match="in no order"):
        RegistryEndpoint(MIRROR, "mirror", rewrites=two).manifest_url("docker.io", "a/b", "1")
    assert "/v2/y/b/" in RegistryEndpoint(MIRROR, "mirror", rewrites=two).manifest_url("docker.io", "b", "1")


REWRITE = '[host."https://m.example"]\n[host."https://m.example".rewrite]\n"^(.*)$" = "hub/$1"\n'


def test_rewrite_is_of_the_fork_alone() -> None:
    def asked(version: str) -> str:
        return containerd(version, REWRITE).route(FORGEJO).endpoints[0].manifest_url(FORGEJO, "a/b", "1")

    assert asked(FORK) == f"https://m.example/v2/hub/a/b/manifests/1?ns={FORGEJO}"
    assert asked(OLD) == f"https://m.example/v2/a/b/manifests/1?ns={FORGEJO}"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('client = "/etc/c.pem"', "client"),
        ('[host."https://m.example".header]\nx-route = "a"', "header x-route"),
        ('some_day = "a"', "some_day"),
        ('ca = ["a.crt", "b.crt"]', "more than one file"),
    ],
)
def test_what_changes_the_question_and_cannot_be_said_is_told(setting: str, said: str) -> None:
    endpoint = containerd(OLD, f'[host."https://m.example"]\n{setting}\n').route(FORGEJO).endpoints[0]
    with pytest.raises(NoControl, match=f"m.example/v2 cannot be asked .*{said}"):
        endpoint.refuse_unless_askable()


@pytest.mark.parametrize("setting", ["skip_verify = true", 'client = ""', 'dial_timeout = "1m1.5s"', "[host.header]"])
def test_what_changes_nothing_is_not(setting: str) -> None:
    route = containerd(OLD, f'[host."https://m.example"]\n{setting}\n').route(FORGEJO)
    route.endpoints[0].refuse_unless_askable()
    assert route.endpoints[0].dial_timeout_s == (61.5 if "dial" in setting else None)


def test_certificates_in_docker_s_layout_count_where_no_hosts_toml_does() -> None:
    files = (f"{ROOT}/{FORGEJO}/ca.crt", f"{ROOT}/ghcr.io/ca.crt", f"{ROOT}/{FORGEJO}/client.cert")
    endpoint = containerd(OLD, "", certificates=files).route(FORGEJO).endpoints[0]
    assert endpoint.ca == files[:1]
    with pytest.raises(NoControl, match="client's certificate"):
        endpoint.refuse_unless_askable()
    assert containerd(OLD, A, certificates=files).route(FORGEJO).endpoints[1].ca == ()


@pytest.mark.parametrize("config", [{}, {"plugins": {}}, {"plugins": {"io.containerd.grpc.v1.cri": {}}}])
def test_settings_without_the_plugin_are_no_settings(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no CRI plugin"):
        registry_settings(config)


@pytest.mark.parametrize("text", ["", "latest", "1.6"])
def test_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        Version.parse(text)


@pytest.mark.parametrize(
    ("text", "registry", "repository", "reference"),
    [
        ("busybox", "docker.io", "library/busybox", "latest"),
        ("rancher/busybox:1.37.0", "docker.io", "rancher/busybox", "1.37.0"),
        ("ghcr.io/a/b/c:v1", "ghcr.io", "a/b/c", "v1"),
        ("r.example:5000/a@sha256:00", "r.example:5000", "a", "sha256:00"),
        ("r.example:5000/a:1@sha256:00", "r.example:5000", "a", "sha256:00"),
        ("localhost/a", "localhost", "a", "latest"),
    ],
)
def test_names_of_images(text: str, registry: str, repository: str, reference: str) -> None:
    assert Image.parse(text) == Image(registry, repository, reference)


def dockerd(**more: Any) -> Dockerd:
    settings = {"version": "20.10.24", "mirrors": (), "insecure": frozenset(), "insecure_networks": (), "ca": {}}
    return Dockerd(**{**settings, **more})


def test_docker_asks_mirrors_for_the_hub_alone_and_the_hub_last() -> None:
    seen = dockerd(mirrors=("https://m.example/",))
    assert urls(seen.route("docker.io")) == ["https://m.example/v2", "https://registry-1.docker.io/v2"]
    assert urls(seen.route(FORGEJO)) == [UPSTREAM]


@pytest.mark.parametrize(
    "more", [{"insecure": frozenset({"10.1.1.1:5000"})}, {"insecure_networks": (ip_network("10.0.0.0/8"),)}]
)
def test_docker_gives_up_tls_for_an_insecure_registry(more: dict[str, Any]) -> None:
    route = dockerd(**more).route("10.1.1.1:5000")
    assert urls(route) == ["https://10.1.1.1:5000/v2", "http://10.1.1.1:5000/v2"]
    assert route.endpoints[0].skip_verify


@pytest.mark.parametrize(
    ("no_proxy", "through"),
    [
        ("", True),
        ("*", False),
        (FORGEJO, False),
        ("home.example", False),
        (".home.example", False),
        ("*.home.example", False),
        ("other.example,10.0.0.0/8", True),
        (f"{FORGEJO}:8443", True),
        (f"{FORGEJO}:443", False),
    ],
)
def test_proxies_and_their_exceptions(no_proxy: str, through: bool) -> None:
    proxies = Proxies.of({"https_proxy": "proxy.example:3128", "NO_PROXY": no_proxy})
    assert proxies.dialled(UPSTREAM) == ("proxy.example" if through else FORGEJO)


def test_a_proxy_for_one_scheme_and_never_for_the_host_itself() -> None:
    proxies = Proxies.of({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "10.0.0.0/8"})
    assert proxies.dialled("http://a.example/v2") == "a.example"
    assert proxies.dialled("https://localhost:5000/v2") == "localhost"
    assert proxies.dialled("https://10.0.20.203/v2") == "10.0.20.203"
    assert proxies.dialled("https://192.168.0.1/v2") == "proxy.example"
