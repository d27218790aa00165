"""How a host is reached: inventory variables, ssh's own arguments and files, and which keys are known."""

from __future__ import annotations

import base64
import hmac
import os
import pwd
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from siteproof.errors import BadInput
from siteproof.transport.connection import Connection
from siteproof.transport.ssh import known_hosts, ssh_config, ssh_g


def test_a_host_without_variables_is_reached_by_its_name() -> None:
    connection = Connection.from_variables("cp1", {})
    assert (connection.address, connection.port, connection.user) == ("cp1", None, None)
    assert connection.become
    assert connection.connect_timeout_s == 5


def test_inventory_variables_say_how() -> None:
    connection = Connection.from_variables(
        "cp1",
        {
            "ansible_host": "10.0.20.100",
            "ansible_port": "2222",
            "ansible_user": "siteproof",
            "ansible_ssh_private_key_file": "~/lab key",
            "ansible_ssh_common_args": "-F lab/config -o UserKnownHostsFile='a b' -oProxyJump=edge -i other -C -vv",
            "ansible_ssh_extra_args": '-o "ConnectTimeout 3" -J second',
            "ansible_become": "no",
            "ansible_become_password": "correct horse",
            "ansible_password": 12345,
            "ansible_timeout": 2,
            "siteproof_hostname": "cp1.home.example",
        },
    )
    assert connection == Connection(
        name="cp1",
        address="10.0.20.100",
        port=2222,
        user="siteproof",
        key_files=("~/lab key", "other"),
        ssh_config="lab/config",
        options=(
            ("userknownhostsfile", "a b"),
            ("proxyjump", "edge"),
            ("connecttimeout", "3"),
            ("proxyjump", "second"),
        ),
        become=False,
        become_password="correct horse",
        password="12345",
        connect_timeout_s=2.0,
        expected_hostname="cp1.home.example",
    )
    assert "horse" not in repr(connection)
    assert "12345" not in repr(connection)
    assert connection.secrets == ("12345", "correct horse")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ("-AJbastion", (("proxyjump", "bastion"),)),
        ("-vCAJ bastion -tto Port=22", (("proxyjump", "bastion"), ("port", "22"))),
        ("-J kai@bastion:2200,second", (("proxyjump", "kai@bastion:2200,second"),)),
        ("-P inside -qWhost:1", (("tag", "inside"),)),
        ("-o'ProxyCommand=sh -c \"nc %h 22\"'", (("proxycommand", 'sh -c "nc %h 22"'),)),
    ],
)
def test_letters_may_share_a_word(arguments: str, options: tuple[tuple[str, str], ...]) -> None:
    assert Connection.from_variables("cp1", {"ansible_ssh_common_args": arguments}).options == options


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ansible_port": "ssh"}, "cp1: ansible_port must be a port"),
        ({"ansible_port": True}, "ansible_port"),
        ({"ansible_ssh_port": 70000}, "ansible_ssh_port must be a port from 1 to 65535, not 70000"),
        ({"ansible_host": ["a"]}, "ansible_host must be text"),
        ({"ansible_timeout": "soon"}, "ansible_timeout"),
        ({"ansible_timeout": 0}, "ansible_timeout"),
        ({"ansible_become": "perhaps"}, "ansible_become must be true or false"),
        ({"ansible_ssh_common_args": "-o"}, "-o has none"),
        ({"ansible_ssh_common_args": "-o Nothing"}, "NAME=VALUE"),
        ({"ansible_ssh_common_args": "host"}, "ansible_ssh_common_args must be ssh options"),
        ({"ansible_ssh_common_args": "-o 'a=b"}, "No closing quotation"),
        ({"ansible_ssh_extra_args": "-Z x"}, "ansible_ssh_extra_args"),
        ({"ansible_ssh_extra_args": "-AZ x"}, "ansible_ssh_extra_args"),
        ({"ansible_ssh_extra_args": "-AJ"}, "-J has none"),
    ],
)
def test_a_bad_variable_is_named(variables: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Connection.from_variables("cp1", variables)


@pytest.mark.parametrize("name", ["ansible_password", "ansible_become_password"])
def test_a_bad_secret_is_not_shown(name: str) -> None:
    with pytest.raises(BadInput, match=name) as refused:
        Connection.from_variables("cp1", {name: {"__ansible_vault": "hunter22"}})
    assert "hunter22" not in str(refused.value)


CONFIG = """
Include {directory}/included/*.conf
Host 10.0.20.*
    User from-config
    Port 2022
    IdentityFile ~/.ssh/%r_key
    ConnectTimeout 9
Host *
    UserKnownHostsFile /known/one /known/two
    GlobalKnownHostsFile none
    IdentitiesOnly yes
"""
INCLUDED = """
Host 10.0.20.103
    HostName worker1.home.example
    HostKeyAlias worker1
    ProxyJump admin@edge:2200,[2001:db8::1]:22
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "included").mkdir()
    (tmp_path / "included" / "worker1.conf").write_text(INCLUDED)
    (tmp_path / "config").write_text(CONFIG.format(directory=tmp_path))
    return str(tmp_path / "config")


def resolved(config: str, **fields: object) -> ssh_config.Login:
    return ssh_config.resolve(Connection(**{"name": "h", "address": "10.0.20.100", "ssh_config": config, **fields}))  # type: ignore[arg-type]


def test_the_configuration_file_fills_in_what_the_inventory_does_not_say(config: str) -> None:
    route = resolved(config)
    assert (route.address, route.port, route.user, route.timeout_s) == ("10.0.20.100", 2022, "from-config", 9)
    assert route.identity_files == (ssh_g.home() / ".ssh/from-config_key",)
    assert route.known_hosts_files == (Path("/known/one"), Path("/known/two"))
    assert route.identities_only
    assert route.known_as == ("[10.0.20.100]:2022", "10.0.20.100")
    assert route.jumps == ()


def test_includes_are_followed_and_end_where_they_end(config: str) -> None:
    route = resolved(config, address="10.0.20.103")
    assert (route.address, route.port, route.host_key_alias) == ("worker1.home.example", 2022, "worker1")
    assert route.known_as == ("worker1",)
    assert [(jump.address, jump.port, jump.user) for jump in route.jumps] == [
        ("edge", 2200, "admin"),
        ("2001:db8::1", 22, None),
    ]


def test_the_command_line_wins_over_the_inventory_and_that_over_the_file(config: str) -> None:
    route = resolved(
        config,
        port=22,
        user="inventory",
        key_files=("/inventory/key",),
        options=(("user", "option"), ("identityfile", "/option/key"), ("user", "later"), ("proxyjump", "none")),
    )
    assert (route.port, route.user) == (22, "option")
    assert route.identity_files[:2] == (Path("/option/key"), Path("/inventory/key"))


def test_without_any_configuration_the_user_is_the_one_who_asks() -> None:
    assert resolved("/dev/null").user == pwd.getpwuid(os.getuid()).pw_name


def test_the_user_of_the_inventory_needs_no_ssh(config: str) -> None:
    connection = Connection("h", "10.0.20.100", user="kai", ssh_config=config)
    assert ssh_config.login_user(connection) == "kai"
    assert ssh_config.login_user(replace(connection, user=None)) == "from-config"
    assert ssh_config.login_user(replace(connection, options=(("user", "option"),))) == "option"


def test_ssh_is_asked_once_for_a_host(instead_of_ssh: Path, tmp_path: Path) -> None:
    real = shutil.which("ssh", path=os.environ["PATH"].partition(os.pathsep)[2])
    instead_of_ssh.write_text(f'#!/bin/sh\necho once >>{tmp_path}/asked\nexec {real} "$@"\n')
    config = written(tmp_path, "Port 2200\n")
    for _ in range(3):
        assert [resolved(config, address=address).port for address in ("h1", "h2")] == [2200, 2200]
    assert (tmp_path / "asked").read_text().count("once") == 2


def test_a_configuration_that_is_named_but_missing_is_refused() -> None:
    with pytest.raises(BadInput, match="named by -F does not exist"):
        resolved("/nonexistent/config")


def written(tmp_path: Path, text: str) -> str:
    (tmp_path / "config").write_text(text)
    return str(tmp_path / "config")


def test_what_stands_last_for_all_hosts_is_read(tmp_path: Path) -> None:
    """Fedora and RHEL end their own configuration so."""
    config = written(tmp_path, "Host h1\n  HostName h1.home.example\nMatch final all\n  Port 2200\n")
    route = resolved(config, address="h1")
    assert (route.address, route.port) == ("h1.home.example", 2200)


@pytest.mark.parametrize(
    ("match", "options", "since"),
    [
        ("tagged inside", (("tag", "inside"),), (9, 4)),
        ("localnetwork 0.0.0.0/0,::/0", (), (9, 4)),
        ("version OpenSSH_*", (), (10, 0)),
    ],
)
def test_a_condition_is_judged_by_ssh_or_refused(
    tmp_path: Path, match: str, options: tuple[tuple[str, str], ...], since: tuple[int, int]
) -> None:
    said = subprocess.run(["ssh", "-V"], stderr=subprocess.PIPE, text=True, check=True).stderr
    version = re.match(r"OpenSSH_(\d+)\.(\d+)", said)
    assert version is not None
    config = written(tmp_path, f"Match {match}\n  Port 2200\n")
    if (int(version[1]), int(version[2])) >= since:
        assert resolved(config, options=options).port == 2200
    else:
        with pytest.raises(BadInput, match="h: ssh refuses its options or its configuration: .*"):
            resolved(config, options=options)


def test_a_program_of_the_configuration_decides_as_it_does_for_ssh(tmp_path: Path) -> None:
    config = written(tmp_path, 'Match exec "test %h = h1"\n  Port 2200\n')
    assert [resolved(config, address=address).port for address in ("h1", "h2")] == [2200, 22]


def test_a_jump_host_may_be_said_in_each_way(tmp_path: Path) -> None:
    config = written(tmp_path, "Host h1\n  ProxyJump from-config\nHost bastion\n  HostName 10.0.20.1\n")
    route = resolved(config, address="h1", options=(("proxyjump", "bastion"),))
    assert [jump.address for jump in route.jumps] == ["bastion"]
    assert ssh_config.resolve(route.jumps[0]).address == "10.0.20.1"
    assert [jump.address for jump in resolved(config, address="h1").jumps] == ["from-config"]
    assert resolved(config, address="h1", options=(("proxyjump", "none"),)).jumps == ()


def test_what_stands_for_a_value_in_the_name_of_a_key_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS", "/keys")
    config = written(tmp_path, "IdentityFile ${KEYS}/%n-%r-%%h\nIdentityFile %d/k\nIdentityFile none\n")
    route = resolved(config, address="h1", user="kai")
    assert route.identity_files == (Path("/keys/h1-kai-%h"), ssh_g.home() / "k")
    monkeypatch.delenv("KEYS")
    with pytest.raises(BadInput, match="KEYS is not in the environment"):
        resolved(config, address="h1", user="kai")
    with pytest.raises(BadInput, match="IdentityFile /k/%C: %C is none of"):
        resolved(written(tmp_path, "IdentityFile /k/%C\n"), address="h2")


def test_the_home_is_the_one_that_ssh_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolved("/dev/null").known_hosts_files[0] == Path(pwd.getpwuid(os.getuid()).pw_dir, ".ssh/known_hosts")


def test_keys_that_somebody_revoked_are_not_taken_for_good(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="h: RevokedHostKeys /etc/ssh/revoked is not read here"):
        resolved(written(tmp_path, "RevokedHostKeys /etc/ssh/revoked\n"))


RECORDED = Path(__file__).parent / "ssh_g"


@pytest.mark.parametrize("version", ["8.4", "9.2", "9.9", "10.5"])
def test_every_openssh_is_understood(version: str) -> None:
    """What each printed for `ssh_g/config`."""
    assert ssh_g.read((RECORDED / f"{version}.txt").read_text()) == ssh_g.Answer(
        address="worker1.home.example",
        port=2022,
        user="kai",
        first_identities=("/option/key",),
        other_identities=("~/.ssh/%r_key", "/second key"),
        identities_only=True,
        known_hosts_files=("/known/one", "/known/two", "none"),
        host_key_alias="worker1",
        jumps="10.0.20.1,admin@[2001:db8::1]:2200",
        connect_timeout_s=9,
    )


@pytest.mark.parametrize("version", ["9.9", "10.5"])
def test_conditions_of_newer_versions(version: str) -> None:
    """What each printed for `ssh_g/conditions`, the newer for `conditions-version`."""
    answer = ssh_g.read((RECORDED / f"{version}-conditions.txt").read_text())
    assert (answer.user, answer.port) == ("tagged", 2200)
    assert answer.proxy_command == ("nc -X connect %h %p" if version == "10.5" else None)


WHOLE = (RECORDED / "9.9.txt").read_text()


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] destination [command [argument ...]]\n",
        WHOLE.replace("port 2022", "port ssh"),
        WHOLE.replace("port 2022", "port"),
        WHOLE.replace("hostname worker1.home.example\n", ""),
        WHOLE + "hostname another.example\n",
        WHOLE.replace("identitiesonly yes", "identitiesonly perhaps"),
        WHOLE.replace("identityfile /dev/null/siteproof\n", ""),
        WHOLE.replace("connecttimeout 9", "connecttimeout soon"),
        *(WHOLE[: WHOLE.index(f"\n{name} ")] for name in ("user", "port", "identitiesonly", "identityfile")),
    ],
    ids=lambda printed: str(len(printed)),
)
def test_what_is_no_answer_of_ssh_is_refused(printed: str) -> None:
    with pytest.raises(ssh_g.NotUnderstood, match="does not say what it should"):
        ssh_g.read(printed)


@pytest.fixture
def instead_of_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to write the script that is found as `ssh`."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "ssh"
    script.touch(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    return script


def test_a_password_in_a_proxy_command_is_in_no_command_line(instead_of_ssh: Path, tmp_path: Path) -> None:
    instead_of_ssh.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/words\nexec {shutil.which("ssh", path="/usr/bin")} "$@"\n'
    )
    command = "sshpass -p hunter22 ssh -W %h:%p bastion"
    route = resolved("/dev/null", options=(("proxycommand", command), ("proxycommand", "later")), password="horse")
    assert route.proxy_command == "sshpass -p hunter22 ssh -W 10.0.20.100:22 bastion"
    words = (tmp_path / "words").read_text()
    assert "-G" in words.split()
    assert "hunter22" not in words
    assert "horse" not in words


def test_a_configuration_that_is_never_read_to_its_end_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_g, "_PATIENCE_S", 0.5)
    config = written(tmp_path, f'Match exec "echo $$ >{tmp_path}/pid; exec sleep 600"\n  Port 2200\n')
    with pytest.raises(BadInput, match=r"h: `ssh -G` has not read its configuration within 0.5 s"):
        resolved(config)
    left = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    end = time.monotonic() + 10
    while left.exists() and ") Z " not in left.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    assert not left.exists() or ") Z " in left.read_text()


def test_without_ssh_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    silent = written(tmp_path, "# nothing\n\n")
    assert resolved(silent, user="kai", port=2222).where == "h (10.0.20.100:2222)"
    with pytest.raises(BadInput, match="h: .* this machine has no ssh"):
        resolved(silent, options=(("identitiesonly", "no-ssh"),))
    (tmp_path / "other").write_text("Port 2200\n")
    with pytest.raises(BadInput, match="h: .* this machine has no ssh"):
        resolved(str(tmp_path / "other"))


ED25519, RSA = base64.b64encode(b"ed25519 key").decode(), base64.b64encode(b"rsa key").decode()


def hashed(name: str) -> str:
    salt = b"0123456789abcdef0123"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("line", "names", "known"),
    [
        (f"cp1 ssh-ed25519 {ED25519}", ["cp1"], True),
        (f"cp1,10.0.20.100 ssh-ed25519 {ED25519} a comment", ["10.0.20.100"], True),
        (f"CP1 ssh-ed25519 {ED25519}", ["cp1"], True),
        (f"cp1 ssh-ed25519 {ED25519}", ["cp10"], False),
        (f"[cp1]:2222 ssh-ed25519 {ED25519}", ["[cp1]:2222", "cp1"], True),
        (f"[cp1]:2222 ssh-ed25519 {ED25519}", ["cp1"], False),
        (f"cp1 ssh-ed25519 {ED25519}", ["[cp1]:2222", "cp1"], True),
        (f"{hashed('[cp1]:2222')} ssh-ed25519 {ED25519}", ["[cp1]:2222"], True),
        (f"{hashed('cp1')} ssh-ed25519 {ED25519}", ["cp2"], False),
        (f"*.home.example,!edge.home.example ssh-ed25519 {ED25519}", ["cp1.home.example"], True),
        (f"*.home.example,!edge.home.example ssh-ed25519 {ED25519}", ["edge.home.example"], False),
        (f"[*]:2222 ssh-ed25519 {ED25519}", ["[cp1]:2222"], True),
        (f"# cp1 ssh-ed25519 {ED25519}", ["cp1"], False),
        (f"@cert-authority cp1 ssh-ed25519 {ED25519}", ["cp1"], False),
        ("cp1 ssh-ed25519 not-base64!", ["cp1"], False),
        ("cp1", ["cp1"], False),
    ],
)
def test_known_hosts_is_read_as_ssh_reads_it(tmp_path: Path, line: str, names: list[str], known: bool) -> None:
    (tmp_path / "known_hosts").write_text(f"\n{line}\n")
    found = known_hosts.look_up(names, [tmp_path / "missing", tmp_path / "known_hosts"])
    assert bool(found.keys) is known


def test_the_server_is_asked_for_a_key_that_is_known(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"cp1 ssh-rsa {RSA}\n")
    known = known_hosts.look_up(["cp1"], [file])
    offered = ["ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256", "rsa-sha2-256"]
    assert known.algorithms_first(offered) == ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "ecdsa-sha2-nistp256"]


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("")
    assert not known_hosts.look_up(["cp1"], [file]).keys
    file.write_text(f"cp1 ssh-ed25519 {ED25519}\n@revoked * ssh-rsa {RSA}\n")
    found = known_hosts.look_up(["cp1"], [file])
    assert [key.blob for key in found.keys] == [b"ed25519 key"]
    assert found.revoked == {b"rsa key"}


@pytest.mark.parametrize(
    ("variables", "method", "program"),
    [
        ({}, "sudo", "sudo"),
        ({"ansible_become_method": "ansible.builtin.sudo", "ansible_become_user": "root"}, "sudo", "sudo"),
        (
            {"ansible_become_flags": "-HS -n", "ansible_become_exe": "/usr/local/bin/sudo"},
            "sudo",
            "/usr/local/bin/sudo",
        ),
        ({"ansible_become_exe": "/a", "ansible_sudo_exe": "/b", "ansible_doas_exe": "/c"}, "sudo", "/b"),
        ({"ansible_become_method": "doas", "ansible_doas_flags": "-n"}, "doas", "doas"),
        ({"ansible_become_method": "community.general.doas", "ansible_become_exe": "/opt/doas"}, "doas", "/opt/doas"),
        ({"ansible_become_method": "su", "ansible_user": "root"}, "sudo", "sudo"),
        ({"ansible_become_method": "run0", "ansible_become": False}, "sudo", "sudo"),
    ],
)
def test_how_root_is_become_is_followed(variables: dict[str, object], method: str, program: str) -> None:
    connection = Connection.from_variables("cp1", variables)
    assert (connection.become_method, connection.become_program) == (method, program)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ansible_become_method": "su"}, "hosts:7: cp1: ansible_become_method must be sudo or doas, .*not 'su'"),
        ({"ansible_become_method": "community.general.run0"}, "not 'community.general.run0'"),
        ({"ansible_become_user": "deploy"}, "ansible_become_user must be root: .*not 'deploy'"),
        ({"ansible_become_user": "root", "ansible_sudo_user": "deploy"}, "ansible_sudo_user must be root"),
        ({"ansible_become_flags": "-H -i"}, "ansible_become_flags must be what siteproof does anyway .*not '-i'"),
        ({"ansible_become_flags": "-u '"}, "ansible_become_flags must be flags of sudo"),
        ({"ansible_become_method": "doas", "ansible_become_flags": "-H"}, "not '-H'"),
        ({"ansible_become_exe": "sudo -E"}, "ansible_become_exe must be one program, without options, not 'sudo -E'"),
        ({"ansible_become_exe": "-n"}, "ansible_become_exe"),
        ({"ansible_become_exe": "$(id)"}, "ansible_become_exe"),
        ({"ansible_become_method": "doas", "ansible_become_password": "pony horse"}, "password must not be set: doas"),
        ({"ansible_connection": "docker", "ansible_become_method": "su"}, "ansible_become_method must be"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_line_and_key(variables: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        Connection.from_variables("cp1", variables, dict.fromkeys(variables, "hosts:7"))
    assert "pony" not in str(refused.value)
