"""The sudoers fragment is enough for the whole suite, and for nothing else.

Every host of the lab is asked as a user who is not root, also those that the lab's own inventory asks as root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_command import COMMAND, PROJECT, lab_ok, needs_root, own_lab

pytestmark = [pytest.mark.lab, needs_root]

USER = "siteproof"
INSTALL = "cat >/etc/sudoers.d/siteproof && chmod 0440 /etc/sudoers.d/siteproof && visudo -cq"
"""In place of the file that allows the user everything."""


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    with own_lab("privilege") as name:
        lab_ok(name, "up")
        yield name


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's, with the same user on every host."""
    copied = tmp_path_factory.mktemp("inventories") / "lab"
    for source in (PROJECT / "inventories/lab").rglob("*.yml"):
        text = source.read_text().replace("ansible_user: root", f"ansible_user: {USER}")
        target = copied / source.relative_to(PROJECT / "inventories/lab")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return copied


def suite(name: str, inventory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pytest", "-q", f"--hosts={inventory}", "--changes", *options]
    environment = {**os.environ, "SITEPROOF_LAB": name}
    return subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def verdicts(name: str, inventory: Path, reports: Path) -> dict[str, str]:
    done = suite(name, inventory, f"--reports={reports}")
    report = json.loads((reports / "latest/report.json").read_text())
    assert done.returncode == 0, done.stdout
    assert all(host["reached"] and host["user"] == USER for host in report["hosts"] if "user" in host)
    return {f"{r['id']}[{r['subject']}]": r["verdict"] for r in report["results"]}


def sudo(name: str, host: str, command: str) -> bool:
    """Whether the user may run this as root."""
    line = [*COMMAND, "exec", "--name", name, host, "--", "su", "-s", "/bin/sh", USER, "-c", f"sudo -n -l {command}"]
    return subprocess.run(line, cwd=PROJECT, capture_output=True, check=False).returncode == 0


TABLE = "siteproof_0123456789ab_0123ab_1234567890"

DOCKER = "docker -H unix:///var/run/docker.sock"
SOCKET = "unix:///run/containerd/containerd.sock"
CRICTL = f"crictl --runtime-endpoint {SOCKET} --image-endpoint {SOCKET}"

NOTHING_ELSE = [
    ("worker1", "id"),
    ("worker1", "sh -c true"),
    ("worker1", "timeout 9 id -u"),
    ("worker1", "nft list ruleset"),
    ("worker1", "cat /etc/shadow"),
    ("worker1", "find / -exec sh -c id ';'"),
    ("worker1", "containerd --config /tmp/another.toml config dump"),
    ("worker1", "containerd --config /etc/containerd/config.toml oci-hook -- id"),
    ("worker1", "crictl pull docker.io/library/another:1"),
    ("worker1", "crictl rmi --all"),
    ("worker1", f"{CRICTL} pull docker.io/library/another:1"),
    ("worker1", f"{CRICTL} rmi --all"),
    ("swarm1", "docker run --privileged busybox:lab sh"),
    ("swarm1", f"{DOCKER} run --privileged busybox:lab sh"),
    ("swarm1", f"{DOCKER} service rm web"),
    ("swarm1", f"{DOCKER} service rm siteproof_0123456789ab_deploy_1234567890 web"),
    ("swarm1", "docker -H tcp://192.0.2.1:2375 service rm siteproof_0123456789ab_deploy_1234567890"),
    ("swarm1", "nsenter --net=/proc/1/ns/net sh"),
    ("swarm1", "nsenter --net=/proc/1/ns/net --mount=/proc/1/ns/mnt xargs -n 1 ping -n -c 2 -i 0.3 -W 1 --"),
    ("edge", "nft -f -"),
    ("worker1", "nft -f -"),
    ("worker1", "nft flush ruleset"),
    ("worker1", "nft delete table inet filter"),
    ("worker1", f"nft delete table inet {TABLE} '; flush ruleset'"),
    ("worker1", f"nft add rule inet {TABLE} out accept"),
    ("worker1", "cat /proc/1/environ"),
    ("worker1", "grep -a . /proc/1/environ"),
    ("edge", "unbound-control reload"),
    ("outside", "nmap --interactive"),
]
ALLOWED = [
    ("worker1", "nft list tables inet"),
    ("worker1", f"nft delete table inet {TABLE}"),
    ("worker1", "containerd --config /etc/containerd/config.toml config dump"),
    ("swarm1", f"{DOCKER} service rm siteproof_0123456789ab_deploy_1234567890"),
    ("swarm1", "nsenter --net=/proc/4711/ns/net xargs -n 1 ping -n -c 2 -i 0.3 -W 1 --"),
    ("edge", "unbound-control status"),
]


def test_the_whole_suite_runs_with_the_fragment_and_no_other_privilege(
    name: str, inventory: Path, tmp_path: Path
) -> None:
    before = verdicts(name, inventory, tmp_path / "before")
    assert set(before.values()) <= {"held", "not applicable"}
    file = tmp_path / "sudoers"
    assert suite(name, inventory, f"--sudoers={file}").returncode == 0
    hosts = [host["name"] for host in json.loads((tmp_path / "before/latest/report.json").read_text())["hosts"]]
    for host in hosts:
        line = [*COMMAND, "exec", "--name", name, host, "--", "sh", "-c", INSTALL]
        subprocess.run(line, cwd=PROJECT, input=file.read_bytes(), check=True, capture_output=True)
    assert verdicts(name, inventory, tmp_path / "after") == before
    assert [(host, command) for host, command in NOTHING_ELSE if sudo(name, host, command)] == []
    assert [(host, command) for host, command in ALLOWED if not sudo(name, host, command)] == []
