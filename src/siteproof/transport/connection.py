"""How a host is reached, as its inventory variables say it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from siteproof.errors import BadInput

_TRUE = {"true", "yes", "on", "1", "y", "t"}
_FALSE = {"false", "no", "off", "0", "n", "f"}


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
    """What `-o` says, lower-case names; the first of a name stands."""
    become: bool = True
    """sudo may be used. Means nothing for root."""
    become_password: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 5.0
    expected_hostname: str | None = None
    expected_machine_id: str | None = None

    @staticmethod
    def from_variables(name: str, variables: Mapping[str, Any]) -> Connection:
        read = _Variables(name, variables)
        arguments = _ssh_arguments(read, "ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
        keys = [read.text("ansible_ssh_private_key_file", "ansible_private_key_file")]
        return Connection(
            name=name,
            address=read.text("ansible_host", "ansible_ssh_host") or name,
            port=read.port("ansible_port", "ansible_ssh_port") or arguments.port,
            user=read.text("ansible_user", "ansible_ssh_user") or arguments.user,
            key_files=tuple(key for key in [*keys, *arguments.key_files] if key),
            ssh_config=arguments.config,
            options=tuple(arguments.options),
            become=read.flag("ansible_become", default=True),
            become_password=read.text("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"),
            password=read.text("ansible_ssh_password", "ansible_ssh_pass", "ansible_password"),
            connect_timeout_s=read.seconds("ansible_ssh_timeout", "ansible_timeout") or 5.0,
            expected_hostname=read.text("siteproof_hostname"),
            expected_machine_id=read.text("siteproof_machine_id"),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(secret for secret in (self.password, self.become_password) if secret)


class _Variables:
    """One host's variables; of several spellings the first that is set stands. A bad value is BadInput."""

    def __init__(self, host: str, variables: Mapping[str, Any]) -> None:
        self._host = host
        self._variables = variables

    def find(self, names: Iterable[str]) -> tuple[str, Any] | None:
        return next(((name, value) for name in names if (value := self._variables.get(name)) not in (None, "")), None)

    def bad(self, name: str, wanted: str, value: object) -> BadInput:
        return BadInput(f"{self._host}: {name} must be {wanted}, not {value!r}")

    def text(self, *names: str) -> str | None:
        found = self.find(names)
        if found is None:
            return None
        name, value = found
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.bad(name, "text", "a value that is not shown" if "pass" in name else value)
        return str(value)

    def port(self, *names: str) -> int | None:
        found = self.find(names)
        if found is None:
            return None
        name, value = found
        if isinstance(value, bool) or not str(value).isdecimal() or not 0 < int(value) < 65536:
            raise self.bad(name, "a port from 1 to 65535", value)
        return int(value)

    def seconds(self, *names: str) -> float | None:
        found = self.find(names)
        if found is None:
            return None
        name, value = found
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            raise self.bad(name, "a number of seconds", value) from None
        if not 0 < seconds < 3600:
            raise self.bad(name, "a number of seconds above 0 and below 3600", value)
        return seconds

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._variables.get(name)
        if value is None or value == "":
            return default
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise self.bad(name, "true or false", value)
        return word in _TRUE


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
_IGNORED_WITH_VALUE = set("BbcDEeIkLmOPQRSWw")


def _ssh_arguments(read: _Variables, *names: str) -> _Arguments:
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


def _take(arguments: _Arguments, read: _Variables, variable: str, word: str, rest: Iterable[str]) -> None:
    letter, value = word[1], word[2:]
    if letter in _WITHOUT_VALUE:
        return
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
        case _ if letter not in _IGNORED_WITH_VALUE:
            raise read.bad(variable, "ssh options", word)


def _option(read: _Variables, variable: str, text: str) -> tuple[str, str]:
    match = _OPTION.fullmatch(text.strip())
    if match is None:
        raise read.bad(variable, "ssh options as NAME=VALUE", text)
    return match["name"].lower(), match["value"].strip('"')
