"""What OpenSSH makes of ssh's configuration for one host, in its own words: `ssh -G`."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from siteproof.errors import BadInput
from siteproof.machine.child import Child
from siteproof.transport.connection import Connection

_SYSTEM_CONFIG = "/etc/ssh/ssh_config"
_PATIENCE_S = 10.0
"""The operator's configuration may run programs (`Match exec`) and ask the DNS (`CanonicalizeHostname`)."""
_OURS = "/dev/null/siteproof"
"""The name of no file. As an IdentityFile it keeps ssh's usual ones out of the answer, which are not named by anybody,
and parts those of the command line from those of the files; as a ProxyCommand it stands for one that only we see."""
HARMLESS_IN_A_SHELL = re.compile(r"[\w.:%@+\[\]][\w.:%@+\[\]-]*")
_USER = re.compile(r"[\w.:%@+\\][\w.:%@+\\-]*(?<!\\)")
"""A shell may be told both by `Match exec`, which OpenSSH guards by itself since 9.6 only."""


class NotUnderstood(Exception):
    """In words that lack whose it is: they are the same for all hosts."""


@dataclass(frozen=True)
class Answer:
    """What decides over a connection. Paths are as they were written, with `~` and `%h`."""

    address: str
    port: int
    user: str
    first_identities: tuple[str, ...] = ()
    """Named by `-o`."""
    other_identities: tuple[str, ...] = ()
    """Named by the configuration files."""
    identities_only: bool = False
    known_hosts_files: tuple[str, ...] = (
        "~/.ssh/known_hosts",
        "~/.ssh/known_hosts2",
        "/etc/ssh/ssh_known_hosts",
        "/etc/ssh/ssh_known_hosts2",
    )
    host_key_alias: str | None = None
    jumps: str | None = None
    """`[user@]host[:port],…`, without `none`."""
    proxy_command: str | None = None
    connect_timeout_s: float | None = None


def home() -> Path:
    """The one that ssh means by `~`: the user's own, whatever $HOME says."""
    return Path(own_user().pw_dir)


def expand_home(path: str) -> Path:
    return home() / path[2:] if path.startswith("~/") else Path(path).expanduser()


def ask(connection: Connection) -> Answer:
    """No process is started where neither an option nor a file has anything to say. Raises BadInput."""
    if not connection.options and not any(map(_says_anything, _files(connection))):
        return Answer(connection.address, connection.port or 22, connection.user or own_user().pw_name)
    named = {"address": connection.address, "user": connection.user or "ssh"}
    refuse_words_for_a_shell(connection, "a ProxyCommand or of Match exec", named, user=_USER)
    try:
        answer = read(_run(_words(connection)))
    except NotUnderstood as error:
        raise BadInput(f"{connection.name}: {error}") from error
    if answer.proxy_command == _OURS:
        ours = next(value for name, value in connection.options if name == "proxycommand")
        return Answer(**{**vars(answer), "proxy_command": ours})
    return answer


def own_user() -> pwd.struct_passwd:
    """Whoever runs this, as the system knows them."""
    return pwd.getpwuid(os.getuid())


def _files(connection: Connection) -> list[Path]:
    """-F alone, or the user's file and the system's."""
    if connection.ssh_config == "none":
        return []
    if connection.ssh_config is None:
        return [path for path in (home() / ".ssh" / "config", Path(_SYSTEM_CONFIG)) if path.exists()]
    named = expand_home(connection.ssh_config)
    if not named.exists():
        raise BadInput(f"{connection.name}: the ssh configuration {connection.ssh_config} named by -F does not exist")
    return [named]


@cache
def _says_anything(path: Path) -> bool:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:  # whether that matters is for ssh to say
        return True
    return any(line.strip() and not line.strip().startswith(b"#") for line in lines)


def refuse_words_for_a_shell(
    connection: Connection, where: str, values: Mapping[str, str], user: re.Pattern[str] = HARMLESS_IN_A_SHELL
) -> None:
    """A shell reads `where` with these in it. As ssh does, of a name that would say more to it. Raises BadInput."""
    for what, value in values.items():
        if not (user if what == "user" else HARMLESS_IN_A_SHELL).fullmatch(value):
            raise BadInput(f"{connection.name}: its {what} {value!r} must not stand in a command line, as of {where}")


def _words(connection: Connection) -> tuple[str, ...]:
    """The command line. Of a ProxyCommand, which may have a password in it, other users of this machine see nothing."""
    words = ["-G", "-T"]
    if connection.ssh_config:
        words += ["-F", "none" if connection.ssh_config == "none" else str(expand_home(connection.ssh_config))]
    for name, value in connection.options:
        hidden = name == "proxycommand" and value.lower() != "none"
        words += ["-o", f"{name}={_OURS if hidden else value}"]
    words += ["-o", f"IdentityFile={_OURS}"]
    words += ["-l", connection.user] if connection.user else []
    words += ["-p", str(connection.port)] if connection.port else []
    return (*words, "--", connection.address)


@cache
def _run(words: tuple[str, ...]) -> str:
    """Raises NotUnderstood."""
    program = shutil.which("ssh")
    if program is None:
        raise NotUnderstood(
            "ssh's options and configuration files are read by `ssh -G`, and this machine has no ssh "
            "(install OpenSSH's client, or say all that is needed in ansible_host, ansible_port and ansible_user, "
            "with ansible_ssh_common_args empty or `-F none`)"
        )
    try:
        with Child([program, *words]) as child:
            stdout, stderr = child.communicate(_PATIENCE_S)
            status = child.status
    except subprocess.TimeoutExpired:
        raise NotUnderstood(f"`ssh -G` has not read its configuration within {_PATIENCE_S:g} s") from None
    except ValueError:  # a NUL in an option
        raise NotUnderstood("an ssh option has a byte in it that no program can be given") from None
    if status != 0:
        said = stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {status}, without a word"]
        raise NotUnderstood(f"ssh refuses its options or its configuration: {said[-1][:300]}")
    return os.fsdecode(stdout)


def read(printed: str) -> Answer:
    """What `ssh -G` with `-o IdentityFile=_OURS` printed, from OpenSSH 8.4 to 10.5. Raises NotUnderstood."""
    said: dict[str, list[str]] = {}
    for line in printed.splitlines():
        name, _, value = line.partition(" ")
        said.setdefault(name.lower(), []).append(value.strip())

    def one(name: str, otherwise: str | None = None) -> str:
        values = said.get(name, [] if otherwise is None else [otherwise])
        if len(values) != 1 or not values[0]:
            raise NotUnderstood(f"`ssh -G` does not say what it should: {name} is {values or 'missing'}")
        return values[0]

    def number(name: str, text: str) -> int:
        if not text.isdecimal():
            raise NotUnderstood(f"`ssh -G` does not say what it should: {name} is {text!r}")
        return int(text)

    identities = said.get("identityfile", [])
    if identities.count(_OURS) != 1:
        raise NotUnderstood("`ssh -G` does not say what it should: the IdentityFile that it was given is not there")
    if (only := one("identitiesonly")) not in ("yes", "no"):
        raise NotUnderstood(f"`ssh -G` does not say what it should: identitiesonly is {only!r}")
    if (revoked := one("revokedhostkeys", "none")) != "none":
        raise NotUnderstood(f"RevokedHostKeys {revoked} is not read here; revoke keys by @revoked in known_hosts")
    at = identities.index(_OURS)
    timeout = one("connecttimeout", "none")
    return Answer(
        address=one("hostname"),
        port=number("port", one("port")),
        user=one("user"),
        first_identities=tuple(identities[:at]),
        other_identities=tuple(identities[at + 1 :]),
        identities_only=only == "yes",
        known_hosts_files=tuple(
            f"{one('userknownhostsfile', 'none')} {one('globalknownhostsfile', 'none')}".split(),
        ),
        host_key_alias=one("hostkeyalias") if "hostkeyalias" in said else None,
        jumps=one("proxyjump") if "proxyjump" in said else None,
        proxy_command=one("proxycommand") if "proxycommand" in said else None,
        connect_timeout_s=None if timeout == "none" else number("connecttimeout", timeout),
    )
