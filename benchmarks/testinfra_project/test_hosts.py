"""25 tests of a host, 35 commands. `siteproof_project` has the same ones as invariants."""
# ruff: noqa: S101 - tests assert

from __future__ import annotations

from testinfra.host import Host


def owner_and_mode(host: Host, path: str) -> dict[str, str]:
    return {"owner": host.check_output(f"stat -c %U {path}"), "mode": host.check_output(f"stat -c %a {path}")}


def test_the_account_list_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/etc/passwd") == {"owner": "root", "mode": "644"}


def test_the_group_list_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/etc/group") == {"owner": "root", "mode": "644"}


def test_the_null_device_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/dev/null") == {"owner": "root", "mode": "666"}


def test_the_name_switch_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/etc/nsswitch.conf") == {"owner": "root", "mode": "644"}


def test_the_login_profile_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/etc/profile") == {"owner": "root", "mode": "644"}


def test_the_configuration_directory_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/etc") == {"owner": "root", "mode": "755"}


def test_the_temporary_directory_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/tmp") == {"owner": "root", "mode": "1777"}  # its mode is looked at  # noqa: S108  # nosec B108


def test_the_programs_directory_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/usr/bin") == {"owner": "root", "mode": "755"}


def test_the_kernels_directory_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/proc") == {"owner": "root", "mode": "555"}


def test_the_variable_directory_is_roots(host: Host) -> None:
    assert owner_and_mode(host, "/var") == {"owner": "root", "mode": "755"}


def test_root_is_account_zero(host: Host) -> None:
    assert host.check_output("getent passwd root").startswith("root:x:0:0:")


def test_root_is_group_zero(host: Host) -> None:
    assert host.check_output("getent group root").startswith("root:x:0:")


def test_root_has_the_id_zero(host: Host) -> None:
    assert host.check_output("id -u root") == "0"


def test_the_system_is_linux(host: Host) -> None:
    assert host.check_output("uname -s") == "Linux"


def test_the_kernel_calls_itself_linux(host: Host) -> None:
    assert host.check_output("cat /proc/sys/kernel/ostype") == "Linux"


def test_packets_start_with_the_usual_ttl(host: Host) -> None:
    assert host.check_output("cat /proc/sys/net/ipv4/ip_default_ttl") == "64"


def test_tcp_acknowledges_selectively(host: Host) -> None:
    assert host.check_output("cat /proc/sys/net/ipv4/tcp_sack") == "1"


def test_tcp_scales_its_window(host: Host) -> None:
    assert host.check_output("cat /proc/sys/net/ipv4/tcp_window_scaling") == "1"


def test_there_is_room_for_processes(host: Host) -> None:
    assert int(host.check_output("cat /proc/sys/kernel/pid_max")) >= 32768


def test_there_is_a_shell(host: Host) -> None:
    assert host.check_output("readlink -f /bin/sh").startswith("/")


def test_something_is_mounted(host: Host) -> None:
    assert int(host.check_output("grep -c . /proc/mounts")) > 0


def test_root_is_listed_once(host: Host) -> None:
    assert host.check_output("grep -c ^root: /etc/passwd") == "1"


def test_the_host_is_up(host: Host) -> None:
    assert int(host.check_output("cut -d. -f1 /proc/uptime")) > 0


def test_loopback_is_an_interface(host: Host) -> None:
    assert host.check_output("ls -d /sys/class/net/lo") == "/sys/class/net/lo"


def test_the_link_has_the_declared_mtu(host: Host) -> None:
    assert int(host.check_output("cat /sys/class/net/lo/mtu")) == 65536
