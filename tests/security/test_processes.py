"""A process is believed because of what it is, not of what it is called; and nothing of another's is run as root.

The real scripts, as a batch asks them, on a node of the test's own with real processes. The program that stands for
containerd writes down that it was run, wherever somebody has put it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from a_node import STRANGER, Node, a_node, compiled, question

from siteproof.asks import Ask, Output, Single
from siteproof.errors import ToolFailed, Unparseable
from siteproof.probes.pulls.containerd_registries import containerd_registries
from siteproof.probes.pulls.crictl_images import images
from siteproof.runtimes.containerd import Containerd

SOURCE = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words) {
    char own[4096] = "", line[4096];
    if (strcmp(words[count - 1], "dump")) for (;;) pause();
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0) return 1;
    FILE *ran = fopen("/tmp/ran", "a"), *said = fopen("/etc/containerd/dump", "r");
    if (!ran) return 1;
    fprintf(ran, "%s\n", own);
    int failed = !said;
    if (failed && !(said = fopen("/etc/secret", "r"))) return 1;
    while (fgets(line, sizeof line, said)) fputs(line, failed ? stderr : stdout);
    return failed;
}
"""
DUMP = """disabled_plugins = []
imports = ["/etc/containerd/config.toml"]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
"""
CRICTL = """#!/bin/sh
echo "told:$CRI_CONFIG_FILE$CONTAINER_RUNTIME_ENDPOINT$IMAGE_SERVICE_ENDPOINT" >>/tmp/crictl
while :; do case $1 in --*) shift 2 ;; *) break ;; esac; done
case $1 in
version) printf 'Version:  0.1.0\\nRuntimeName:  containerd\\nRuntimeVersion:  1.7.20\\nRuntimeApiVersion:  v1\\n' ;;
images) echo '{"images": []}' ;;
esac
"""
OWN = "/usr/bin/containerd"
CERTS = "/etc/containerd/certs.d"
SECRET = "the shadow of a password"  # noqa: S105 - not one


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(SOURCE, tmp_path_factory.mktemp("made") / "containerd")


@pytest.fixture
def node(binary: Path) -> Iterator[Node]:
    """With crictl and all the files of a containerd, which does not run."""
    with a_node() as node:
        node.install(binary, OWN)
        node.write("/usr/local/bin/crictl", CRICTL, mode=0o755)
        node.write("/etc/containerd/config.toml", "version = 2\n")
        node.write("/etc/containerd/dump", DUMP)
        node.write(f"{CERTS}/r.example/hosts.toml", '[host."https://m.example"]\n')
        node.write("/etc/secret", SECRET, mode=0o600)
        yield node


def run_own(node: Node, *words: str) -> None:
    count = len(node.running("containerd"))
    node.start(f"exec {OWN} {shlex.join(words)}")
    node.wait_for("containerd", count + 1)


def run_another(node: Node, line: str, *, user: int = 0) -> None:
    count = len(node.running("containerd"))
    node.start(line, user=user)
    node.wait_for("containerd", count + 1)


def output(node: Node, environment: str = "") -> Output:
    return node.asked(question(containerd_registries("n1")), environment)


def read(answered: Output) -> Containerd:
    ask = containerd_registries("n1")
    assert isinstance(ask, Single)
    answer = ask.read(lambda question: answered)
    assert isinstance(answer, Containerd)
    return answer


def ran(node: Node) -> list[str]:
    """The binaries that somebody ran for their configuration."""
    return node.run("cat /tmp/ran 2>/dev/null || true").split()


def test_the_nodes_own_is_believed(node: Node) -> None:
    """The control of all the others."""
    run_own(node)
    seen = read(output(node))
    assert [str(e) for e in seen.route("r.example").endpoints] == ["https://m.example/v2", "https://r.example/v2"]
    assert seen.directories == {f"{CERTS}/r.example": '[host."https://m.example"]'}
    assert (seen.foreign, ran(node)) == (frozenset(), [OWN])


CONTAINERS = [
    "unshare --mount --pid --cgroup --net --fork --kill-child chroot /srv/inner /bin/containerd",
    "unshare --pid --fork --kill-child /usr/bin/containerd",
    "unshare --cgroup /usr/bin/containerd",
    "unshare --user --map-root-user /usr/bin/containerd",
    "chroot /srv/inner /bin/containerd",
]
"""The last four have one thing of a container each."""


@pytest.mark.parametrize("line", CONTAINERS)
def test_a_containers_is_neither_run_nor_in_the_way(node: Node, binary: Path, line: str) -> None:
    node.install(binary, "/srv/inner/bin/containerd")
    node.run("for each in $(ldd /usr/bin/containerd | grep -o '/[^ ]*'); do install -D $each /srv/inner$each; done")
    run_another(node, f"exec {line}")
    with pytest.raises(ToolFailed, match=r"no process called containerd offers the CRI, .* is of a container"):
        read(output(node))
    run_own(node)
    assert read(output(node)).foreign == frozenset()
    assert ran(node) == [OWN]


@pytest.mark.parametrize("where", ["/tmp/a/containerd", "/tmp/a\n/usr/bin/containerd"])
def test_a_users_is_neither_run_nor_in_the_way(node: Node, binary: Path, where: str) -> None:
    node.install(binary, where, owner=STRANGER)
    run_another(node, f"HTTPS_PROXY=http://evil.example exec {shlex.quote(where)}", user=STRANGER)
    with pytest.raises(ToolFailed, match=r"no process called containerd offers the CRI, .* is of another user"):
        read(output(node))
    run_own(node)
    assert read(output(node)).proxies.https == ""
    assert ran(node) == [OWN]


@pytest.mark.parametrize("where", ["/tmp/a/containerd", "/opt/containerd/bin/containerd"])
def test_roots_from_elsewhere_is_not_run_and_nobody_knows(node: Node, binary: Path, where: str) -> None:
    """It may be the node's, or anything."""
    node.install(binary, where)
    run_another(node, f"exec {where}")
    run_own(node)
    with pytest.raises(ToolFailed, match=f"process [0-9]+ is not of an installed binary: {where}"):
        read(output(node))
    assert ran(node) == []


def test_roots_with_mounts_of_its_own_is_not_run_and_nobody_knows(node: Node) -> None:
    """As a unit with PrivateTmp= has them: the same root directory, and perhaps other files below it."""
    run_another(node, "exec unshare --mount /usr/bin/containerd")
    with pytest.raises(ToolFailed, match="process [0-9]+ has mounts of its own"):
        read(output(node))
    assert ran(node) == []


def test_one_that_was_replaced_while_it_runs_is_not_the_installed_one(node: Node, binary: Path) -> None:
    run_own(node)
    node.run(f"rm {OWN}")
    node.install(binary, OWN)
    with pytest.raises(ToolFailed, match=rf"not of an installed binary: {OWN} \(deleted\)"):
        read(output(node))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"chmod 777 {OWN}", OWN),
        (f"chown {STRANGER} {OWN}", OWN),
        (f"chmod 775 {OWN}; chgrp {STRANGER} {OWN}", OWN),
        (f"mkdir -m 777 /opt/w; mv {OWN} /opt/w/; ln -s /opt/w/containerd {OWN}", "/opt/w"),
        ("chmod 777 /etc/containerd", "/etc/containerd"),
        ("chmod 666 /etc/containerd/config.toml", "/etc/containerd/config.toml"),
        (f"chown {STRANGER} /etc/containerd/config.toml", "/etc/containerd/config.toml"),
    ],
)
def test_nothing_is_run_of_which_others_say_what_it_is(node: Node, change: str, said: str) -> None:
    node.run(change)
    run_own(node)
    with pytest.raises(ToolFailed, match=f"{said} is not root's alone"):
        read(output(node))
    assert ran(node) == []


@pytest.mark.parametrize("words", [("--config", "/tmp/c.toml"), ("-c", "c.toml"), ("--config=/proc/self/cwd/c.toml",)])
def test_a_configuration_of_anothers_making_is_not_read(node: Node, words: tuple[str, ...]) -> None:
    node.write("/tmp/c.toml", "version = 2\n", owner=STRANGER)
    run_own(node, *words)
    with pytest.raises(ToolFailed, match=r"not root's alone|not an absolute path|under /proc"):
        read(output(node))
    assert ran(node) == []


def test_what_others_can_make_it_import_is_not_shown(node: Node) -> None:
    node.run(f"mkdir -m 755 /srv/imported; ln -s /etc/secret /srv/imported/a.toml; chown -h {STRANGER} /srv/imported")
    node.write(
        "/etc/containerd/dump",
        DUMP.replace('config.toml"]', 'config.toml", "/srv/imported/a.toml"]') + f'# "{SECRET}"\n',
    )
    run_own(node)
    answered = output(node)
    with pytest.raises(ToolFailed, match="/srv/imported is not root's alone"):
        read(answered)
    assert SECRET not in answered.text + answered.errors


def test_what_it_says_of_a_file_that_it_cannot_read_is_not_shown(node: Node) -> None:
    node.run("rm /etc/containerd/dump")
    run_own(node)
    answered = output(node)
    with pytest.raises(ToolFailed, match="containerd config dump ended with status 1"):
        read(answered)
    assert SECRET not in answered.text + answered.errors


@pytest.mark.parametrize(
    "change",
    [
        f"rm -r {CERTS}/x; mkdir {CERTS}/x; ln -s /etc/secret {CERTS}/x/hosts.toml; chown -hR {STRANGER} {CERTS}/x",
        f"ln -sf /etc/secret {CERTS}/x/hosts.toml; chmod 777 {CERTS}/x",
        f"chown {STRANGER} {CERTS}/x/hosts.toml",
        f"chmod 664 {CERTS}/x/hosts.toml; chgrp {STRANGER} {CERTS}/x/hosts.toml",
    ],
)
def test_a_hosts_toml_of_anothers_making_makes_its_registry_unknown_and_no_other(node: Node, change: str) -> None:
    node.write(f"{CERTS}/x/hosts.toml", '[host."https://evil.example"]\n')
    node.run(change)
    run_own(node)
    answered = output(node)
    seen = read(answered)
    assert SECRET not in answered.text
    assert "evil" not in answered.text
    assert seen.route("r.example").endpoints[0].host == "m.example"
    with pytest.raises(Unparseable, match=f"{CERTS}/x: others than root may change it"):
        seen.route("x")
    with pytest.raises(Unparseable):
        seen.problems()


@pytest.mark.parametrize(
    "change",
    [
        f"chown {STRANGER} {CERTS}",
        f"chmod 777 {CERTS}",
        f"mkdir -m 777 /srv/c; mv {CERTS} /srv/c/; ln -s /srv/c/certs.d {CERTS}",
        f"mkdir -m 777 /srv/c; cp -r {CERTS}/r.example /srv/c/x; ln -s /srv/c/x {CERTS}/x",
        f"mkdir -m 777 /srv/c; mkdir {CERTS}/x; ln -s /etc/secret /srv/c/a; ln -s /srv/c/a {CERTS}/x/hosts.toml",
    ],
)
def test_directories_and_links_that_lead_where_others_rule_are_not_believed(node: Node, change: str) -> None:
    node.run(change)
    run_own(node)
    answered = output(node)
    with pytest.raises(ToolFailed, match="is not root's alone"):
        read(answered)
    assert SECRET not in answered.text + answered.errors


def test_it_is_the_same_for_a_user_with_sudo(node: Node, binary: Path) -> None:
    node.install(binary, "/tmp/a/containerd", owner=STRANGER)
    node.write(f"{CERTS}/x/hosts.toml", "", owner=STRANGER)
    run_another(node, "exec /tmp/a/containerd", user=STRANGER)
    run_another(node, "exec unshare --mount --pid --fork --kill-child /usr/bin/containerd")
    run_own(node)
    seen = read(node.asked(question(containerd_registries("n1")), user=node.add_sudoer()))
    assert seen == read(output(node))
    assert seen.foreign == {f"{CERTS}/x"}
    assert ran(node) == [OWN, OWN]


def test_links_of_roots_are_followed(node: Node) -> None:
    node.run(f"mkdir -p /srv/c/x; echo 'server = \"https://x\"' >/srv/c/x/hosts.toml; ln -s /srv/c/x {CERTS}/x")
    run_own(node)
    assert read(output(node)).directories[f"{CERTS}/x"] == 'server = "https://x"'


def test_crictl_is_told_by_root_alone_whom_to_speak_to(node: Node) -> None:
    run_own(node)
    told = (
        "export CRI_CONFIG_FILE=/tmp/a CONTAINER_RUNTIME_ENDPOINT=unix:///tmp/b IMAGE_SERVICE_ENDPOINT=unix:///tmp/c\n"
    )
    read(output(node, told))
    assert node.run("cat /tmp/crictl").split() == ["told:"]
    node.run("rm /tmp/crictl")
    node.write("/etc/crictl.yaml", "runtime-endpoint: unix:///tmp/evil.sock\n", owner=STRANGER)
    asks: tuple[Ask[Any], ...] = (containerd_registries("n1"), images("n1"))
    for answered in [node.asked(question(ask)) for ask in asks]:
        assert answered.status == 1
        assert "/etc/crictl.yaml is not root's alone to change" in answered.errors
    assert not node.exists("/tmp/crictl")
