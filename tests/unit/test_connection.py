"""How a host is reached: inventory variables, ssh's own arguments and files, and which keys are known."""

from __future__ import annotations

import base64
import getpass
import hmac
from pathlib import Path

import pytest

from siteproof.errors import BadInput
from siteproof.transport.connection import Connection
from siteproof.transport.ssh import known_hosts, ssh_config


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
Include included/*.conf
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
    (tmp_path / "config").write_text(CONFIG)
    return str(tmp_path / "config")


def resolved(config: str, **fields: object) -> ssh_config.Route:
    return ssh_config.resolve(Connection(**{"name": "h", "address": "10.0.20.100", "ssh_config": config, **fields}))  # type: ignore[arg-type]


def test_the_configuration_file_fills_in_what_the_inventory_does_not_say(config: str) -> None:
    route = resolved(config)
    assert (route.address, route.port, route.user, route.timeout_s) == ("10.0.20.100", 2022, "from-config", 9)
    assert route.identity_files == (Path("~/.ssh/from-config_key").expanduser(),)
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
    assert resolved("/dev/null").user == getpass.getuser()


def test_a_configuration_that_is_named_but_missing_is_refused() -> None:
    with pytest.raises(BadInput, match="named by -F does not exist"):
        resolved("/nonexistent/config")


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
