"""How a host is reached, as its inventory variables say it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from siteproof.transport.backend import Backend
from siteproof.transport.privilege import Escalation
from siteproof.transport.variables import Variables


@dataclass(frozen=True)
class Connection:
    """Plain data. Nothing of ssh_config is in it yet: see `transport.ssh_config`."""

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    key_files: tuple[str, ...] = ()
    ssh_config: str | None = None
    """The file named by `-F`."""
    options: tuple[tuple[str, str], ...] = ()
    """What `-o` says, as it stands there, lower-case names; the first of a name stands."""
    become: bool = True
    """sudo or doas may be used. Means nothing for root."""
    become_method: Literal["sudo", "doas"] = "sudo"
    become_program: str = "sudo"
    """What is run for it: its name, or where it is."""
    become_password: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 5.0
    expected_hostname: str | None = None
    expected_machine_id: str | None = None
    in_lab: bool = False
    """The inventory is a lab's: documentation addresses are somebody's there."""
    backend: Backend | None = None
    """What it is asked through instead of SSH; then nothing that is about SSH means anything."""

    @staticmethod
    def from_variables(
        name: str,
        variables: Mapping[str, Any],
        places: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
    ) -> Connection:
        """`places` says of variables where they were set, `hidden` which have a secret in them. Raises BadInput."""
        read = Variables(name, variables, places, hidden)
        backend = Backend.from_variables(name, read)
        if backend is not None:
            becomes = Escalation.from_variables(read, backend.user)
            return Connection(
                name=name,
                address=backend.url,
                user=backend.user,
                become=becomes.allowed,
                become_method=becomes.method,
                become_program=becomes.program,
                become_password=becomes.password,
                expected_hostname=read.text("siteproof_hostname"),
                expected_machine_id=read.text("siteproof_machine_id"),
                in_lab=read.text("siteproof_lab") is not None,
                backend=backend,
            )
        arguments = _ssh_arguments(read, "ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
        user = read.text("ansible_user", "ansible_ssh_user") or arguments.user
        becomes = Escalation.from_variables(read, user)
        keys = [read.text("ansible_ssh_private_key_file", "ansible_private_key_file")]
        return Connection(
            name=name,
            address=read.text("ansible_host", "ansible_ssh_host") or name,
            port=read.port("ansible_port", "ansible_ssh_port") or arguments.port,
            user=user,
            key_files=tuple(key for key in [*keys, *arguments.key_files] if key),
            ssh_config=arguments.config,
            options=tuple(arguments.options),
            become=becomes.allowed,
            become_method=becomes.method,
            become_program=becomes.program,
            become_password=becomes.password,
            password=read.text("ansible_ssh_password", "ansible_ssh_pass", "ansible_password"),
            connect_timeout_s=read.seconds("ansible_ssh_timeout", "ansible_timeout") or 5.0,
            expected_hostname=read.text("siteproof_hostname"),
            expected_machine_id=read.text("siteproof_machine_id"),
            in_lab=read.text("siteproof_lab") is not None,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(secret for secret in (self.password, self.become_password) if secret)


@dataclass
class _Arguments:
    """What siteproof understands of ssh's own command line."""

    options: list[tuple[str, str]] = field(default_factory=list)
    config: str | None = None
    user: str | None = None
    port: int | None = None
    key_files: list[str] = field(default_factory=list)


_OPTION = re.compile(r"(?P<name>\w+)(?:\s*=\s*|\s+)(?P<value>.+)")
_WITHOUT_VALUE = set("46AaCfGgKkMNnqsTtVvXxYy")
_IGNORED_WITH_VALUE = set("BbcDEeIkLmOQRSWw")


def _ssh_arguments(read: Variables, *names: str) -> _Arguments:
    arguments = _Arguments()
    for name in names:
        text = read.text(name)
        try:
            words = iter(shlex.split(text or ""))
        except ValueError as error:
            raise read.bad(name, f"ssh arguments ({error})", text) from None
        for word in words:
            if not word.startswith("-") or word == "-":
                raise read.bad(name, "ssh options", word)
            _take(arguments, read, name, word, words)
    return arguments


def _take(arguments: _Arguments, read: Variables, variable: str, word: str, rest: Iterable[str]) -> None:
    letters = word[1:].lstrip("".join(_WITHOUT_VALUE))  # several may stand in one word, the last with its value
    if not letters:
        return
    letter, value = letters[0], letters[1:]
    value = value or next(iter(rest), "")
    if not value:
        raise read.bad(variable, f"ssh options, each with its value: -{letter} has none", word)
    match letter:
        case "o":
            arguments.options.append(_option(read, variable, value))
        case "F":
            arguments.config = arguments.config or value
        case "i":
            arguments.key_files.append(value)
        case "l":
            arguments.user = arguments.user or value
        case "p" if value.isdecimal():
            arguments.port = arguments.port or int(value)
        case "J":
            arguments.options.append(("proxyjump", value))
        case "P":
            arguments.options.append(("tag", value))
        case _ if letter not in _IGNORED_WITH_VALUE:
            raise read.bad(variable, "ssh options", word)


def _option(read: Variables, variable: str, text: str) -> tuple[str, str]:
    match = _OPTION.fullmatch(text.strip())
    if match is None:
        raise read.bad(variable, "ssh options as NAME=VALUE", text)
    return match["name"].lower(), match["value"]
