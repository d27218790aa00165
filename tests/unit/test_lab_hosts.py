"""What a host is given before it boots, and what it is left to give itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import files, network, topology
from lab.files import _login_line


@pytest.mark.parametrize(
    ("name", "line", "written"),
    [
        ("passwd", "siteproof:x:1500:1500::/home/siteproof:/bin/bash", "ops:x:1500:1500::/home/ops:/usr/bin/fish"),
        ("passwd", "root:x:0:0:root:/root:/bin/bash", "root:x:0:0:root:/root:/bin/bash"),
        ("shadow", "siteproof:*:20000:0:99999:7:::", "ops:*:20000:0:99999:7:::"),
        ("group", "siteproof:x:1500:", "ops:x:1500:"),
        ("sudoers.d/siteproof", "siteproof ALL=(ALL:ALL) NOPASSWD: ALL", "ops ALL=(ALL:ALL) NOPASSWD: ALL"),
    ],
)
def test_the_bases_login_user_gets_the_sites_name_and_the_hosts_shell(name: str, line: str, written: str) -> None:
    assert _login_line(line, "ops", "/usr/bin/fish", name) == written


def test_a_host_is_written_with_its_user_shell_and_links(tmp_path: Path) -> None:
    site = topology.load("other")
    base, layer = tmp_path / "base", tmp_path / "layer"
    (base / "etc/sudoers.d").mkdir(parents=True)
    for name in ("passwd", "shadow", "group", "gshadow"):
        (base / "etc" / name).write_text("siteproof:x:1500:1500::/home/siteproof:/bin/bash\n")
    (base / "etc/sudoers.d/siteproof").write_text("siteproof ALL=(ALL:ALL) NOPASSWD: ALL\n")
    files._login(layer, site.hosts["kube-a"], site.login, base)
    assert (layer / "etc/passwd").read_text() == "ops:x:1500:1500::/home/ops:/usr/bin/fish\n"
    assert (layer / "etc/sudoers.d/siteproof").read_text() == "ops ALL=(ALL:ALL) NOPASSWD: ALL\n"
    untouched = tmp_path / "untouched"
    files._login(untouched, topology.load().hosts["cp1"], topology.LOGIN, base)
    assert not untouched.exists()


def test_a_link_that_the_host_configures_itself_is_left_alone() -> None:
    site = topology.load("other")
    assert network.configure(site.hosts["kube-a"]) == ["link set lo up"]
    given = network.configure(site.hosts["kube-b"])
    assert "link set srv mtu 1420 up" in given
    assert "route add 0.0.0.0/0 via 172.22.5.254" in given


def test_a_host_runs_one_server_of_ssh() -> None:
    site = topology.load("other")
    assert [host.name for host in site.systemd_hosts if "ssh" not in host.services] == ["desk"]
    assert "dropbear" in site.hosts["desk"].services


def test_a_sites_own_template_comes_before_the_one_that_sites_share() -> None:
    site = topology.load("other")
    assert site.template("edge/dnsmasq.conf").is_relative_to(topology.SITES)
    assert site.template("swarm/swarm-up").is_relative_to(topology.DAEMONS)
