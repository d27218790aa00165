"""25 checks of a host, 35 commands. `testinfra_project` has the same ones as plain testinfra tests."""
# ruff: noqa: S101 - checks assert

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from siteproof.asks import Ask, Each, command, total
from siteproof.facts import Node
from siteproof.facts.path import Link
from siteproof.invariants import invariant


def check(id: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return invariant(id, family="link", severity="medium", incident="", remedy="")


def said(node: Node, line: str) -> Ask[str]:
    tool = line.split()[0]
    return command(node.host, line, probe=line, parse=lambda output: output.text.rstrip("\n"), tools=(tool,))


def owner_and_mode(node: Node, path: str) -> Each[str, str]:
    return total({"owner": said(node, f"stat -c %U {path}"), "mode": said(node, f"stat -c %a {path}")})


@check("the-account-list-is-roots")
async def test_the_account_list_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/etc/passwd") == {"owner": "root", "mode": "644"}


@check("the-group-list-is-roots")
async def test_the_group_list_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/etc/group") == {"owner": "root", "mode": "644"}


@check("the-null-device-is-roots")
async def test_the_null_device_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/dev/null") == {"owner": "root", "mode": "666"}


@check("the-name-switch-is-roots")
async def test_the_name_switch_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/etc/nsswitch.conf") == {"owner": "root", "mode": "644"}


@check("the-login-profile-is-roots")
async def test_the_login_profile_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/etc/profile") == {"owner": "root", "mode": "644"}


@check("the-configuration-directory-is-roots")
async def test_the_configuration_directory_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/etc") == {"owner": "root", "mode": "755"}


@check("the-temporary-directory-is-roots")
async def test_the_temporary_directory_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/tmp") == {"owner": "root", "mode": "1777"}  # its mode is looked at  # noqa: S108  # nosec B108


@check("the-programs-directory-is-roots")
async def test_the_programs_directory_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/usr/bin") == {"owner": "root", "mode": "755"}


@check("the-kernels-directory-is-roots")
async def test_the_kernels_directory_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/proc") == {"owner": "root", "mode": "555"}


@check("the-variable-directory-is-roots")
async def test_the_variable_directory_is_roots(node: Node, link: Link) -> None:
    assert await owner_and_mode(node, "/var") == {"owner": "root", "mode": "755"}


@check("root-is-account-zero")
async def test_root_is_account_zero(node: Node, link: Link) -> None:
    assert (await said(node, "getent passwd root")).startswith("root:x:0:0:")


@check("root-is-group-zero")
async def test_root_is_group_zero(node: Node, link: Link) -> None:
    assert (await said(node, "getent group root")).startswith("root:x:0:")


@check("root-has-the-id-zero")
async def test_root_has_the_id_zero(node: Node, link: Link) -> None:
    assert await said(node, "id -u root") == "0"


@check("the-system-is-linux")
async def test_the_system_is_linux(node: Node, link: Link) -> None:
    assert await said(node, "uname -s") == "Linux"


@check("the-kernel-calls-itself-linux")
async def test_the_kernel_calls_itself_linux(node: Node, link: Link) -> None:
    assert await said(node, "cat /proc/sys/kernel/ostype") == "Linux"


@check("packets-start-with-the-usual-ttl")
async def test_packets_start_with_the_usual_ttl(node: Node, link: Link) -> None:
    assert await said(node, "cat /proc/sys/net/ipv4/ip_default_ttl") == "64"


@check("tcp-acknowledges-selectively")
async def test_tcp_acknowledges_selectively(node: Node, link: Link) -> None:
    assert await said(node, "cat /proc/sys/net/ipv4/tcp_sack") == "1"


@check("tcp-scales-its-window")
async def test_tcp_scales_its_window(node: Node, link: Link) -> None:
    assert await said(node, "cat /proc/sys/net/ipv4/tcp_window_scaling") == "1"


@check("there-is-room-for-processes")
async def test_there_is_room_for_processes(node: Node, link: Link) -> None:
    assert int(await said(node, "cat /proc/sys/kernel/pid_max")) >= 32768


@check("there-is-a-shell")
async def test_there_is_a_shell(node: Node, link: Link) -> None:
    assert (await said(node, "readlink -f /bin/sh")).startswith("/")


@check("something-is-mounted")
async def test_something_is_mounted(node: Node, link: Link) -> None:
    assert int(await said(node, "grep -c . /proc/mounts")) > 0


@check("root-is-listed-once")
async def test_root_is_listed_once(node: Node, link: Link) -> None:
    assert await said(node, "grep -c ^root: /etc/passwd") == "1"


@check("the-host-is-up")
async def test_the_host_is_up(node: Node, link: Link) -> None:
    assert int(await said(node, "cut -d. -f1 /proc/uptime")) > 0


@check("loopback-is-an-interface")
async def test_loopback_is_an_interface(node: Node, link: Link) -> None:
    assert await said(node, "ls -d /sys/class/net/lo") == "/sys/class/net/lo"


@check("the-link-has-the-declared-mtu")
async def test_the_link_has_the_declared_mtu(node: Node, link: Link) -> None:
    assert int(await said(node, "cat /sys/class/net/lo/mtu")) == link.mtu
