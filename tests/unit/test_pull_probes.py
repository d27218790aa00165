"""What the probes of pulls make of what the tools print, and what they refuse to read."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from siteproof.asks import Output
from siteproof.errors import NoControl, ProbeError, ToolFailed, Unparseable
from siteproof.probes.pulls import containerd_registries, crictl, crictl_images, docker_registries, reflection, registry
from siteproof.probes.pulls.registry import RegistryAnswer
from siteproof.runtimes.pull_route import Image, RegistryEndpoint

TAG = "r.example/a:1"
DIGEST = f"r.example/a@sha256:{'0' * 64}"


def output(stdout: str, status: int = 0, stderr: str = "") -> Output:
    return Output(status, stdout.encode(), stderr.encode(), 0.0, 0.0)


def sections(**parts: str) -> str:
    return "".join(f"\n== siteproof {name}\n{text}\n" for name, text in parts.items()) + "\n== siteproof end\n"


RUNTIME = "Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  v1.7.11-k3s2\nRuntimeApiVersion:  v1"
CONFIG = '| [plugins."io.containerd.grpc.v1.cri".registry]\n|   config_path = "/etc/containerd/certs.d"'
ENVIRONMENT = "| HTTPS_PROXY=http://proxy.example:3128\n| no_proxy=10.0.0.0/8\n| SITEPROOF_END="
TIMES = "1000000 5000 450000\n999400 /etc/containerd/config.toml"
CONTAINERD = {"runtime": RUNTIME, "config": CONFIG, "environment": ENVIRONMENT, "times": TIMES}
CERTS = "/etc/containerd/certs.d"
HOSTS = {
    f"hosts 26 {CERTS}/r.example": '| [host."https://m.example"]',
    f"whole {CERTS}/r.example": "",
    f"directory {CERTS}/r.example": "",
    f"directory {CERTS}": "",
}


def test_containerd() -> None:
    seen = containerd_registries.parse(output(sections(**CONTAINERD, **HOSTS)))
    assert seen.version.is_k3s
    assert seen.roots == ("/etc/containerd/certs.d",)
    assert [e.url for e in seen.route("r.example").endpoints] == ["https://m.example/v2"]
    assert seen.proxies.dialled("https://r.example/v2") == "proxy.example"
    assert seen.newer_than_process == ()


def test_directories_without_a_file_or_with_an_empty_one() -> None:
    empty = {f"hosts 0 {CERTS}/a": "", f"whole {CERTS}/a": "", f"directory {CERTS}/a": "", f"directory {CERTS}/b": ""}
    seen = containerd_registries.parse(output(sections(**CONTAINERD, **empty, **HOSTS)))
    assert seen.directories == {
        f"{CERTS}/a": "",
        f"{CERTS}/b": None,
        f"{CERTS}/r.example": '[host."https://m.example"]',
    }
    absent = {f"absent {CERTS}": ""}
    assert containerd_registries.parse(output(sections(**CONTAINERD, **absent))).directories == {}


@pytest.mark.parametrize("what", ["x.example", "x.example/hosts.toml"])
def test_what_others_may_change_is_believed_by_nobody_who_needs_it(what: str) -> None:
    foreign = {f"foreign {CERTS}/{what}": ""}
    seen = containerd_registries.parse(output(sections(**CONTAINERD, **HOSTS, **foreign)))
    assert seen.route("r.example").endpoints[0].host == "m.example"
    for ask in (lambda: seen.route("x.example"), seen.problems):
        with pytest.raises(Unparseable, match=f"{CERTS}/x.example: others than root"):
            ask()


def test_a_configuration_that_was_written_after_the_start() -> None:
    times = TIMES + "\n999600 /etc/rancher/k3s/registries.yaml"
    seen = containerd_registries.parse(output(sections(**{**CONTAINERD, **HOSTS, "times": times})))
    assert seen.newer_than_process == ("/etc/rancher/k3s/registries.yaml",)


OLD = "999400 f /etc/containerd/config.toml"


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ("999400.5 f /etc/containerd/config.toml\n999400 d /etc/containerd/conf.d", ()),
        ("999600.5 f /etc/containerd/config.toml", ("/etc/containerd/config.toml",)),
        (f"{OLD}\n999600 d /etc/containerd/conf.d", ("/etc/containerd/conf.d",)),
        (f"{OLD}\n999600 f /etc/containerd/conf.d/new.toml\n999600 d /etc/containerd/conf.d", ()),
    ],
)
def test_what_was_put_there_with_its_old_time_or_taken_away_is_a_doubt(changed: str, touched: tuple[str, ...]) -> None:
    times = TIMES + ("\n999600 /etc/containerd/conf.d/new.toml" if "new.toml" in changed else "")
    seen = containerd_registries.parse(output(sections(**{**CONTAINERD, "times": times}, changed=changed, **HOSTS)))
    assert seen.touched == touched
    if touched:
        with pytest.raises(NoControl, match=touched[0]):
            seen.sure()
    else:
        seen.sure()


def test_without_a_file_its_defaults_count() -> None:
    parts = {**CONTAINERD, "times": "1000000 5000 450000", "changed": "", "defaults": "/etc/containerd/config.toml"}
    assert containerd_registries.parse(output(sections(**parts, **HOSTS))).newer_than_process == ()


@pytest.mark.parametrize(
    "changed",
    [
        f"{OLD}\nUsage: find",
        f"{OLD}\n999600 x /etc/containerd",
        f"{OLD}\nf /etc/containerd",
        "",
        "999400 d /etc/containerd",
    ],
)
def test_what_is_no_time_of_the_configuration(changed: str) -> None:
    with pytest.raises(Unparseable):
        containerd_registries.parse(output(sections(**CONTAINERD, changed=changed, **HOSTS)))


@pytest.mark.parametrize(
    "broken",
    [
        {"runtime": "Usage: crictl [OPTIONS]"},
        {"runtime": RUNTIME.replace("containerd", "cri-o")},
        {"runtime": RUNTIME.replace("v1.7.11-k3s2", "unknown")},
        {"config": "Usage: sed [OPTIONS]"},
        {"config": ""},
        {"config": "| [plugins"},
        {"config": "| version = 2"},
        {"environment": ""},
        {"environment": "| HTTPS_PROXY=http://proxy.example"},
        {"times": "1000000 5000 450000"},
        {"times": "Usage: date [OPTIONS]"},
        {f"hosts 26 {CERTS}/r.example": ""},
        {f"hosts 26 {CERTS}/r.example": "Usage: sed [OPTIONS]"},
        {f"whole {CERTS}/r.example": None},
        {f"directory {CERTS}/r.example": None},
        {f"directory {CERTS}": None},
    ],
)
def test_what_is_not_containerds(broken: dict[str, str | None]) -> None:
    parts = {name: text for name, text in {**CONTAINERD, **HOSTS, **broken}.items() if text is not None}
    with pytest.raises((Unparseable, ValueError)):
        containerd_registries.parse(output(sections(**parts)))


INFO: dict[str, Any] = {
    "version": "20.10.24",
    "registries": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {"docker.io": {"Secure": True}, "r.example:5000": {"Secure": False}},
        "Mirrors": ["https://m.example/"],
    },
    "http": "",
    "https": "proxy.example",
    "no": "",
}


def test_docker() -> None:
    text = sections(info=json.dumps(INFO), certificates="/etc/docker/certs.d/r.example/ca.crt\n/etc/docker/certs.d")
    seen = docker_registries.parse(output(text))
    assert seen.mirrors == ("https://m.example/",)
    assert seen.insecure == {"r.example:5000"}
    assert seen.insecure_networks == (ip_network("127.0.0.0/8"),)
    assert seen.route("r.example").endpoints[0].ca == ("/etc/docker/certs.d/r.example/ca.crt",)
    assert seen.proxies.dialled("https://r.example/v2") == "proxy.example"


@pytest.mark.parametrize(
    "certificates", ["", "Usage: find", "/etc/docker/certs.d/r.example/ca.crt", "a\n/etc/docker/certs.d"]
)
def test_what_is_not_docker_s_directory(certificates: str) -> None:
    with pytest.raises(Unparseable):
        docker_registries.parse(output(sections(info=json.dumps(INFO), certificates=certificates)))


@pytest.mark.parametrize("text", ["", "Usage: docker", "[]", "{}", json.dumps({**INFO, "registries": None})])
def test_what_is_not_dockers(text: str) -> None:
    with pytest.raises(Unparseable):
        docker_registries.parse(output(sections(info=text, certificates="/etc/docker/certs.d")))


CHALLENGE = (
    "HTTP/2 401 \r\ndocker-distribution-api-version: registry/2.0\r\n"
    'www-authenticate: Bearer realm="https://r.example/v2/token",service="r",scope="repository:a:pull"\r\n\r\n'
)


def answer(headers: str, written: str, status: int = 0) -> RegistryAnswer:
    return registry.parse(output(sections(headers=headers, written=written, status=str(status))))


def test_a_registry_that_wants_a_token() -> None:
    seen = answer(CHALLENGE, "401 10.0.20.203")
    assert seen == RegistryAnswer(401, "", "https://r.example/v2/token", True, ip_address("10.0.20.203"))
    assert seen.serves


def test_a_registry_that_wants_none() -> None:
    seen = answer("HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\r\n", "200 10.0.20.203")
    assert seen.serves
    assert seen.realm == ""


@pytest.mark.parametrize(
    ("status", "said"), [(404, "HTTP 404, not by a registry"), (401, "HTTP 401, not by a registry")]
)
def test_what_is_no_registry(status: int, said: str) -> None:
    seen = answer(f"HTTP/1.1 {status} X\r\nserver: y\r\n\r\n", f"{status} 10.0.20.203")
    assert not seen.serves
    assert str(seen) == said


def test_the_last_answer_counts() -> None:
    assert answer(f"HTTP/1.1 200 Connection established\r\n\r\n{CHALLENGE}", "401 10.0.20.203").realm


@pytest.mark.parametrize(("status", "said"), [(6, "no such host"), (7, "no connection"), (60, "x509")])
def test_why_there_was_no_answer(status: int, said: str) -> None:
    seen = answer("", "000 ", status)
    assert str(seen) == said
    assert not seen.serves


@pytest.mark.parametrize("status", [7, 28])
def test_nothing_came_back_and_neither_does_elsewhere(status: int) -> None:
    """curl's 7 is a connection refused, and also a host without a route."""
    image = Image("r.example", "a", "1")
    endpoint = RegistryEndpoint("https://r.example/v2", "upstream")
    asked = registry.registry_answer("n1", endpoint, image, control="http://c.example/")
    nothing = output(sections(headers="", written="000 ", status=str(status)))
    there = output(sections(headers="HTTP/1.1 200 OK\r\nserver: y\r\n\r\n", written="200 192.0.2.7", status="0"))
    control = registry.url_answers("n1", "http://c.example/").questions[0]
    assert not asked.read(lambda question: there if question == control else nothing).serves
    with pytest.raises(NoControl, match="http://c.example/ does not answer either"):
        asked.read(lambda question: nothing)


@pytest.mark.parametrize(
    ("headers", "written", "status"),
    [
        ("", "", 0),
        ("", "000 ", 0),
        ("", "200 10.0.20.203", 0),
        (CHALLENGE, "Usage: curl", 0),
        ("Usage: curl", "", 0),
        ("", "000 ", 2),
        ("", "", 1),
    ],
)
def test_what_curl_does_not_say(headers: str, written: str, status: int) -> None:
    with pytest.raises(ProbeError):
        answer(headers, written, status)


@pytest.mark.parametrize(("lines", "connected"), [(["0.002 0", "0.001 35", "0.000000 28"], 2), (["0.000000 7"] * 3, 0)])
def test_reflection(lines: list[str], connected: int) -> None:
    text = sections(**{f"try {number}": line for number, line in enumerate(lines, 1)})
    assert reflection.parse(output(text)) == reflection.Reflection(3, connected)


@pytest.mark.parametrize("lines", [["0.002 0"] * 2, ["0.002 0"] * 2 + ["Usage: curl 0"], ["0.0 2"] * 3, []])
def test_what_is_no_reflection(lines: list[str]) -> None:
    with pytest.raises(ProbeError):
        reflection.parse(output(sections(**{f"try {number}": line for number, line in enumerate(lines, 1)})))


def test_images() -> None:
    listed = {"images": [{"repoTags": [TAG], "repoDigests": [DIGEST]}, {"repoTags": [], "repoDigests": []}]}
    seen = crictl_images.parse_images(output(json.dumps(listed)), "n1")
    assert TAG in seen
    assert DIGEST in seen
    assert seen.by_digest(TAG) == DIGEST
    with pytest.raises(NoControl, match="n1 does not have r.example/b:1"):
        seen.by_digest("r.example/b:1")


@pytest.mark.parametrize("text", ["", "Usage: crictl", "{}", "[]", '{"images": [{}]}', '{"images": null}'])
def test_what_is_no_list_of_images(text: str) -> None:
    with pytest.raises(Unparseable):
        crictl_images.parse_images(output(text), "n1")


def again(said: str, status: int) -> str:
    return sections(**{"pull 1": said, "status 1": str(status), "seconds 1": "10.00 10.50"})


def test_pulled_again() -> None:
    (seen,) = crictl_images.parse_again(output(again(f"Image is up to date for sha256:{'0' * 64}", 0)), 5)
    assert (seen.failure, seen.seconds) == ("", 0.5)


def test_not_pulled_again() -> None:
    cause = 'failed to pull and unpack image "a/b@sha256:00": dial tcp 10.0.0.1:443: i/o timeout'
    quoted = cause.replace('"', r"\"")
    said = f'level=fatal msg="pulling image: rpc error: code = Unknown desc = {quoted}"'
    (seen,) = crictl_images.parse_again(output(again(said, 1)), 5)
    assert seen.failure == cause


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Usage: crictl", 0),
        ("", 0),
        ("", 1),
        ("Usage: crictl", 1),
        ("rpc error: code = Unknown desc = 429 Too Many Requests", 1),
    ],
)
def test_what_is_no_answer_to_a_pull(said: str, status: int) -> None:
    with pytest.raises(ToolFailed):
        crictl_images.parse_again(output(again(said, status)), 5)


def test_a_pull_that_began_no_connection_is_not_of_now() -> None:
    said = {"pull 1": f"Image is up to date for sha256:{'0' * 64}", "status 1": "0", "seconds 1": "10.00 10.50"}
    assert crictl_images.parse_again(output(sections(**said, **{"opened 1": "7 9"})), 1)
    with pytest.raises(NoControl, match="not of now"):
        crictl_images.parse_again(output(sections(**said, **{"opened 1": "7 7"})), 1)


OBSERVED = {
    "pull": f"Image is up to date for sha256:{'0' * 64}",
    "status": "0",
    "scope": "containerd",
    "present": "no",
    "table": "siteproof_a",
}


def observed(table: str) -> str:
    sets = [
        {"set": {"name": name, "table": table, "elem": [{"concat": ["192.0.2.1", 443]}] if name == "seen" else []}}
        for name in ("seen", "seen6")
    ]
    return sections(**OBSERVED, seen=json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, *sets]}))


def test_an_observer_of_another_run_saw_nothing_of_this_one() -> None:
    assert crictl.parse(output(observed("siteproof_a"))).dialled == {(ip_address("192.0.2.1"), 443)}
    with pytest.raises(NoControl, match="another table"):
        crictl.parse(output(observed("siteproof_b")))


@pytest.mark.parametrize("none", [None, []])
def test_an_image_without_names_is_beside_those_that_have_some(none: list[str] | None) -> None:
    listed = [{"repoTags": [TAG], "repoDigests": [DIGEST]}, {"repoTags": none, "repoDigests": none}, {"id": "sha256:1"}]
    assert TAG in crictl_images.parse_images(output(json.dumps({"images": listed})), "n1")
    with pytest.raises(Unparseable):
        crictl_images.parse_images(output(json.dumps({"images": listed[1:]})), "n1")


@pytest.mark.parametrize("nothing", [None, [], "left out"])
def test_what_go_spells_in_three_ways_is_nothing(nothing: object) -> None:
    registries = {**INFO["registries"], "Mirrors": nothing, "InsecureRegistryCIDRs": nothing}
    if nothing == "left out":
        del registries["Mirrors"], registries["InsecureRegistryCIDRs"]
    text = sections(info=json.dumps({**INFO, "registries": registries}), certificates="/etc/docker/certs.d")
    seen = docker_registries.parse(output(text))
    assert (seen.mirrors, seen.insecure_networks) == ((), ())


def test_podman_in_docker_s_place_says_nothing_of_dockerd() -> None:
    text = json.dumps({**INFO, "registries": {**INFO["registries"], "IndexConfigs": None}})
    with pytest.raises(NoControl, match="docker.io"):
        docker_registries.parse(output(sections(info=text, certificates="/etc/docker/certs.d")))


def test_docker_s_own_layout_of_certificates() -> None:
    files = "/etc/docker/certs.d/r.example/ca.crt\n/etc/docker/certs.d/m.example/client.cert\n/etc/docker/certs.d"
    registries = {**INFO["registries"], "Mirrors": ["https://m.example"]}
    text = sections(info=json.dumps({**INFO, "registries": registries}), certificates=files)
    mirror, _ = docker_registries.parse(output(text)).route("docker.io").endpoints
    with pytest.raises(NoControl, match="m.example/v2 cannot be asked"):
        mirror.refuse_unless_askable()
