"""What ssh itself would do to reach a host: `-o` first, then the inventory, then the configuration files.

What these say together is OpenSSH's own answer (`ssh_g`). What OpenSSH does with it afterwards is done here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from siteproof.errors import BadInput
from siteproof.transport.connection import Connection
from siteproof.transport.ssh import ssh_g

_DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


@dataclass(frozen=True)
class Login:
    """Everything needed to log in, decided."""

    name: str
    address: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    """Those that were asked for by name; a missing one is worth a word when authentication is refused."""
    identities_only: bool
    known_hosts_files: tuple[Path, ...]
    host_key_alias: str | None
    jumps: tuple[Connection, ...]
    proxy_command: str | None
    timeout_s: float
    password: str | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        """For messages: `worker1 (10.0.20.103:22)`."""
        return f"{self.name} ({self.address}:{self.port})"

    @property
    def known_as(self) -> tuple[str, ...]:
        """The names under which known_hosts may have this host's keys."""
        if self.host_key_alias:
            return (self.host_key_alias,)
        if self.port == 22:
            return (self.address,)
        return (f"[{self.address}]:{self.port}", self.address)


def resolve(connection: Connection) -> Login:
    """Raises BadInput where ssh, or this, does not understand what it is told."""
    said = ssh_g.ask(connection)
    tokens = _tokens(connection, said)
    if said.proxy_command:
        names = {"address": said.address, "name": connection.address, "user": said.user}
        ssh_g.refuse_words_for_a_shell(connection, "a ProxyCommand", names)
    named = (
        *(_identity(connection, path, tokens) for path in said.first_identities),
        *connection.key_files,
        *(_identity(connection, path, tokens) for path in said.other_identities),
    )
    return Login(
        name=connection.name,
        address=said.address,
        port=said.port,
        user=said.user,
        identity_files=_files(dict.fromkeys(named)),
        identities_only=said.identities_only,
        known_hosts_files=_files(said.known_hosts_files),
        host_key_alias=said.host_key_alias,
        jumps=_jumps(connection, _expand(connection, said.jumps, tokens, "ProxyJump")) if said.jumps else (),
        proxy_command=_expand(connection, said.proxy_command, tokens, "ProxyCommand") if said.proxy_command else None,
        timeout_s=said.connect_timeout_s or connection.connect_timeout_s,
        password=connection.password,
    )


def login_user(connection: Connection) -> str:
    """As `resolve` has it; ssh is asked only where the inventory does not say. Raises BadInput."""
    if connection.user and "user" not in dict(connection.options):
        return connection.user
    return resolve(connection).user


def default_identities() -> tuple[Path, ...]:
    return tuple(path for path in _files(_DEFAULT_IDENTITIES) if path.exists())


def _files(names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(ssh_g.expand_home(name) for name in names if name.lower() != "none")


def _tokens(connection: Connection, said: ssh_g.Answer) -> Mapping[str, str]:
    """Those that mean one thing in every version of OpenSSH. It leaves them to whoever opens a file or a program."""
    return {
        "%": "%",
        "h": said.address,
        "n": connection.address,
        "p": str(said.port),
        "r": said.user,
        "d": str(ssh_g.home()),
        "i": str(os.getuid()),
        "k": said.host_key_alias or connection.address,
        "u": ssh_g.own_user().pw_name,
    }


def _identity(connection: Connection, path: str, tokens: Mapping[str, str]) -> str:
    def from_environment(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise BadInput(f"{connection.name}: IdentityFile {path}: ${found[1]} is not in the environment")
        return os.environ[found[1]]

    return re.sub(r"\$\{(\w*)\}", from_environment, _expand(connection, path, tokens, "IdentityFile"))


def _expand(connection: Connection, text: str, tokens: Mapping[str, str], what: str) -> str:
    def expanded(found: re.Match[str]) -> str:
        if found[1] not in tokens:
            raise BadInput(f"{connection.name}: {what} {text}: {found[0]} is none of %{' %'.join(tokens)}")
        return tokens[found[1]]

    return re.sub("%(.?)", expanded, text)


def _jumps(connection: Connection, text: str) -> tuple[Connection, ...]:
    """The hosts of `ProxyJump [user@]host[:port],…`."""
    return tuple(_jump(connection, hop.strip()) for hop in text.split(",") if hop.strip())


def _jump(connection: Connection, text: str) -> Connection:
    text = text.removeprefix("ssh://")
    user, _, place = text.rpartition("@")
    address, colon, port = place.rpartition(":")
    if not colon or "]" in port or ":" in address.strip("[]") and not address.startswith("["):
        address, port = place, ""
    if port and not port.isdecimal():
        raise BadInput(f"{connection.name}: ProxyJump must be [user@]host[:port], not {text!r}")
    kept = tuple((name, value) for name, value in connection.options if name in _SHARED_WITH_JUMPS)
    return replace(
        connection,
        name=f"the jump host {address.strip('[]')}",  # the same for all behind it: one cause
        address=address.strip("[]"),
        port=int(port) if port else None,
        user=user or None,
        options=kept,
        password=None,
        become_password=None,
        expected_hostname=None,
        expected_machine_id=None,
    )


_SHARED_WITH_JUMPS = {"userknownhostsfile", "globalknownhostsfile", "identityfile", "identitiesonly", "connecttimeout"}
