"""The observer of a pull: nothing that a host says becomes a statement for nft, and its table goes, however it ends.

The real script with a real nft, on a node of the test's own. crictl is a script that dials somebody.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest
from a_node import STRANGER, Node, a_node, compiled, question

from siteproof.asks import Single
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.pulls.crictl import Pull, observed_pull
from siteproof.probes.pulls.crictl_images import pull_again

SOURCE = r"""
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count < 2 || strcmp(words[1], "dial")) for (;;) pause();
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(443)};
    inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
    connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to);
    return 0;
}
"""
CGROUPS = "/sys/fs/cgroup"
OWN = "system.slice/containerd.service"
CRICTL = f"""#!/bin/sh
while :; do case $1 in --*) shift 2 ;; *) break ;; esac; done
case $1 in
inspecti) echo 'no such image' >&2; exit 1 ;;
pull)
    echo 0 >{CGROUPS}/{OWN}/cgroup.procs
    /usr/bin/containerd dial
    # The script itself; the pull has a session of its own.
    script=$PPID own=$(cut -d' ' -f6 /proc/$$/stat)
    while [ "$(cut -d' ' -f6 /proc/$script/stat)" = "$own" ]; do script=$(cut -d' ' -f4 /proc/$script/stat); done
    [ -e /tmp/kill ] && kill -KILL $script
    [ -e /tmp/hang ] && exec sleep 1000
    echo 'Image is up to date for sha256:{"0" * 64}'
    ;;
esac
"""
IMAGE = "r.example/siteproof/probe:1"


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(SOURCE, tmp_path_factory.mktemp("made") / "containerd")


@pytest.fixture
def node(binary: Path) -> Iterator[Node]:
    """With a containerd that runs where its unit would put it, and a table of somebody's."""
    with a_node() as node:
        node.install(binary, "/usr/bin/containerd")
        node.write("/usr/local/bin/crictl", CRICTL, mode=0o755)
        node.run(f"mkdir -p {CGROUPS}/{OWN}; nft add table inet filter")
        run_in(node, OWN, "/usr/bin/containerd")
        yield node


def run_in(node: Node, cgroup: str, line: str, *, user: int = 0) -> None:
    count = len(node.running("containerd"))
    own = f"setpriv --reuid={user} --clear-groups " if user else ""
    node.start(f"echo 0 >{shlex.quote(f'{CGROUPS}/{cgroup}/cgroup.procs')}; exec {own}{line}")
    node.wait_for("containerd", count + 1)


def pulled(node: Node, *, user: int = 0, deadline_s: int = 30) -> Pull:
    ask = observed_pull("n1", IMAGE, deadline_s=deadline_s)
    assert isinstance(ask, Single)
    answer = ask.read(lambda _: node.asked(question(ask), user=user))
    assert isinstance(answer, Pull)
    return answer


def tables(node: Node) -> set[str]:
    found = json.loads(node.run("nft -j list tables"))["nftables"]
    return {item["table"]["name"] for item in found if "table" in item}


def dialled(pull: Pull) -> set[str]:
    return {f"{address}:{port}" for address, port in pull.dialled}


def test_the_dials_of_containerd_are_seen(node: Node) -> None:
    """The control of all the others: containerd's, and nobody else's."""
    seen = pulled(node)
    assert (dialled(seen), seen.whole_host) == ({"192.0.2.1:443"}, False)
    assert tables(node) == {"filter"}


def test_it_is_the_same_for_a_user_with_sudo(node: Node) -> None:
    seen = pulled(node, user=node.add_sudoer())
    assert (dialled(seen), seen.whole_host) == ({"192.0.2.1:443"}, False)
    assert tables(node) == {"filter"}


@pytest.mark.parametrize("sudo", [False, True])
def test_a_pull_that_does_not_end_is_seen_as_far_as_it_came(node: Node, *, sudo: bool) -> None:
    """Nothing of it stays, as far as it is ours to end; its image would be taken away after the deadline."""
    node.run("touch /tmp/hang")
    seen = pulled(node, user=node.add_sudoer() if sudo else 0, deadline_s=12)
    assert (dialled(seen), seen.late, seen.whole_host) == ({"192.0.2.1:443"}, True, False)
    assert seen.failure.startswith("the pull had not ended after ")
    assert seen.strayed(lambda address: True) == {"192.0.2.1:443"}
    with pytest.raises(NoControl, match="192.0.2.1:443 dialled until then"):
        seen.ended()
    assert tables(node) == {"filter"}
    assert sudo or not node.run("grep -lsz '[1]000' /proc/[1-9]*/cmdline || true")


RULES = """table inet stranger {
set seen { type ipv4_addr . inet_service; flags dynamic; }
set seen6 { type ipv6_addr . inet_service; flags dynamic; }
chain out {
"""
SAYS = 'a"accept;};};include"/srv/rules";#'
"""As a cgroup's name it ends the rule and the table, and has nft read a file."""
CALLED = [SAYS, 'a"; flush ruleset; #', "a' ; flush ruleset #", "$(touch /srv/canary)", "a b", "*", "a\\"]


@pytest.mark.parametrize("name", CALLED)
def test_the_name_of_a_users_cgroup_is_no_statement(node: Node, binary: Path, name: str) -> None:
    node.write("/srv/rules", RULES)
    node.install(binary, "/home/u/containerd", owner=STRANGER)
    node.run(f"cd {CGROUPS}; mkdir -p a {shlex.quote(name)}")
    run_in(node, name, "/home/u/containerd", user=STRANGER)
    seen = pulled(node)
    assert (dialled(seen), seen.whole_host) == ({"192.0.2.1:443"}, False)
    assert tables(node) == {"filter"}
    assert not node.exists("/srv/canary")


@pytest.mark.parametrize("name", [*CALLED, "system.slice/other.service", "system.slice/containerd.service/a"])
def test_a_cgroup_that_is_none_of_the_known_ones_is_not_named(node: Node, name: str) -> None:
    """Although the process is the node's own: then the whole host is observed."""
    node.write("/srv/rules", RULES)
    node.run(f"cd {CGROUPS}; mkdir -p a {shlex.quote(name)}")
    run_in(node, name, "/usr/bin/containerd")
    seen = pulled(node)
    assert (dialled(seen), seen.whole_host) == ({"192.0.2.1:443"}, True)
    assert tables(node) == {"filter"}


OLD, THERE = "siteproof_0123456789ab_0123ab_1234567890", "siteproof_there"
NEARLY = [
    f"{THERE}; add table inet siteproof_b_c_1",
    "siteproof_0123456789ab_0123ab_123456789",
    "siteproof_0123456789ab_0123ab_1234567890 ",
    "siteproof_0123456789AB_0123ab_1234567890",
    "siteproof_0123456789ab_0123ab_a[$(touch /srv/canary)]",
    "siteproof_mine_and_1",
]


@pytest.mark.parametrize("name", NEARLY)
def test_a_table_is_swept_that_has_exactly_our_form(node: Node, name: str) -> None:
    added = {"nftables": [{"add": {"table": {"family": "inet", "name": each}}} for each in (OLD, THERE, name)]}
    subprocess.run([*node.line(), "nft", "-j", "-f", "-"], input=json.dumps(added).encode(), check=True)
    assert tables(node) == {"filter", OLD, THERE, name}
    pulled(node)
    assert tables(node) == {"filter", THERE, name}
    assert not node.exists("/srv/canary")


def test_the_table_goes_when_the_script_is_killed(node: Node) -> None:
    node.run("touch /tmp/kill")
    asked = question(observed_pull("n1", IMAGE, deadline_s=1))
    answered = node.asked(asked)
    assert answered.status != 0
    (left,) = tables(node) - {"filter"}
    assert left.startswith("siteproof_")
    end = time.monotonic() + 60
    while tables(node) != {"filter"}:
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.parametrize("value", hostile.VALUES.values(), ids=hostile.VALUES.keys())
def test_an_image_that_is_no_image_is_not_asked_about(value: str) -> None:
    """What has the form of one is a word of its own all the same."""
    for ask in (
        lambda: observed_pull("n1", value, deadline_s=5),
        lambda: pull_again("n1", IMAGE, value, times=1, deadline_s=5),
    ):
        try:
            made = question(ask())
        except Unparseable:
            continue
        assert f"image={shlex.quote(value)}\n" in made.script


def test_of_nft_nothing_reads_statements() -> None:
    script = question(observed_pull("n1", IMAGE, deadline_s=5)).script
    assert "nft -f" not in script
    assert "-f -" not in script
