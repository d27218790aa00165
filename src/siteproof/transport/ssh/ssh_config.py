"""What ssh itself would do to reach a host: `-o` first, then the inventory, then the configuration files."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import paramiko

from siteproof.errors import BadInput
from siteproof.transport.connection import Connection

_USER_CONFIG = "~/.ssh/config"
_SYSTEM_CONFIG = "/etc/ssh/ssh_config"
_USER_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_DEEPEST_INCLUDE = 16
_HARMLESS_IN_A_SHELL = re.compile(r"[\w.:%@+\[\]][\w.:%@+\[\]-]*")


@dataclass(frozen=True)
class Route:
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


def resolve(connection: Connection) -> Route:
    options, configured = dict(reversed(connection.options)), _lookup(connection)
    settings = configured | options
    named_identities = [*_named(options), *connection.key_files, *_named(configured)]
    address = settings["hostname"]
    user = options.get("user") or connection.user or settings.get("user") or getpass.getuser()
    port = int(options.get("port") or connection.port or settings.get("port") or 22)
    tokens = {"%h": address, "%p": str(port), "%r": user, "%n": connection.address, "%%": "%"}
    jump, proxy_command = settings.get("proxyjump"), settings.get("proxycommand")
    if proxy_command and not jump:
        _refuse_shell_words(connection, address=address, name=connection.address, user=user)
    return Route(
        name=connection.name,
        address=address,
        port=port,
        user=user,
        identity_files=_files(dict.fromkeys(named_identities)),
        identities_only=str(settings.get("identitiesonly", "no")).lower() == "yes",
        known_hosts_files=_files(
            f"{settings.get('userknownhostsfile', _USER_KNOWN_HOSTS)} "
            f"{settings.get('globalknownhostsfile', _SYSTEM_KNOWN_HOSTS)}".split()
        ),
        host_key_alias=settings.get("hostkeyalias"),
        jumps=_jumps(connection, _expand(jump, tokens)) if jump and jump.lower() != "none" else (),
        proxy_command=_expand(proxy_command, tokens)
        if proxy_command and proxy_command.lower() != "none" and not jump
        else None,
        timeout_s=float(settings.get("connecttimeout") or connection.connect_timeout_s),
        password=connection.password,
    )


def default_identities() -> tuple[Path, ...]:
    return tuple(path for path in _files(_DEFAULT_IDENTITIES) if path.exists())


def _named(settings: Mapping[str, Any]) -> list[str]:
    named = settings.get("identityfile", [])
    return [named] if isinstance(named, str) else list(named)


def _files(names: Any) -> tuple[Path, ...]:
    return tuple(Path(name).expanduser() for name in names if name.lower() != "none")


def _expand(text: str, tokens: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, tokens)), lambda found: tokens[found[0]], text)


def _refuse_shell_words(connection: Connection, **values: str) -> None:
    """A shell reads the ProxyCommand with these in it. As ssh does, of a name that would say more to it."""
    for what, value in values.items():
        if not _HARMLESS_IN_A_SHELL.fullmatch(value):
            raise BadInput(
                f"{connection.name}: its {what} {value!r} must not stand in the command line of a ProxyCommand"
            )


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


def _lookup(connection: Connection) -> dict[str, Any]:
    # -F alone, or the user's file before the system's: as ssh does, the first value of a name stands.
    names = [connection.ssh_config] if connection.ssh_config else [_USER_CONFIG, _SYSTEM_CONFIG]
    settings: dict[str, Any] = {}
    for name in reversed([name for name in names if name != "none"]):
        path = Path(name).expanduser()
        if connection.ssh_config and not path.exists():
            raise BadInput(f"{connection.name}: the ssh configuration {name} named by -F does not exist")
        found = dict(_config(path).lookup(connection.address)) if path.exists() else {}
        if found.get("hostname") == connection.address:
            del found["hostname"]
        settings |= found
    return {"hostname": connection.address} | settings


class _Config(paramiko.SSHConfig):
    def _tokenize(self, config: Any, target_hostname: str, key: str, value: str) -> str:
        # paramiko looks this machine up in the DNS to fill in %l, also where no %l stands.
        return super()._tokenize(config, target_hostname, key, value) if "%" in value else value  # type: ignore[misc]


@lru_cache
def _config(path: Path) -> paramiko.SSHConfig:
    config = _Config()
    try:
        config.parse(_with_includes(path, path.parent))
    except (OSError, UnicodeDecodeError, paramiko.ConfigParseError) as error:
        raise BadInput(f"{path}: {error}") from error
    return config


def _with_includes(path: Path, base: Path, depth: int = 0) -> Iterator[str]:
    """The file's lines with its includes in place, which paramiko does not know."""
    block = "Host *"
    for line in path.read_text().splitlines():
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() in ("host", "match"):
            block = line
        if word.lower() != "include" or depth == _DEEPEST_INCLUDE:
            yield line
            continue
        for pattern in rest.split():
            anchored = Path(pattern).expanduser()
            root = Path("/") if anchored.is_absolute() else base
            for included in sorted(root.glob(str(anchored.relative_to("/") if anchored.is_absolute() else anchored))):
                yield from _with_includes(included, base, depth + 1)
                yield block
