"""How a login user becomes root, as the inventory's `ansible_become…` say it: by sudo or doas, or not at all.

What cannot be followed is refused by file, line and key: asked another way than Ansible would go there, a host may
refuse, or answer as another user.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from siteproof.errors import BadInput
from siteproof.transport.variables import Variables

_LONGEST_PASSWORD = 254
"""What sudo reads at once; older ones leave the rest of a longer line to whoever reads next."""
_PASSWORD = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass", "ansible_doas_pass")
_METHODS: dict[str, Literal["sudo", "doas"]] = {
    "sudo": "sudo",
    "ansible.builtin.sudo": "sudo",
    "ansible.legacy.sudo": "sudo",
    "doas": "doas",
    "community.general.doas": "doas",
}
_PROGRAM = re.compile(r"[\w./+@%][\w./+@%-]*")
"""It stands in a script as it is."""
_DONE_ANYWAY = {
    "sudo": re.compile(r"-[HSn]+|--(?:set-home|stdin|non-interactive)"),
    "doas": re.compile("-n"),
}
"""Flags that change nothing about whom a command runs as, and in which environment."""


@dataclass(frozen=True)
class Escalation:
    """From the login user to root. Means nothing where the login user is root."""

    allowed: bool = True
    method: Literal["sudo", "doas"] = "sudo"
    program: str = "sudo"
    password: str | None = None

    @staticmethod
    def from_variables(read: Variables, user: str | None) -> Escalation:
        """Raises BadInput. `user` is the login user where the inventory says it."""
        allowed = read.flag("ansible_become", default=True)
        password = _password_for_stdin(read)
        if not allowed or user == "root":
            return Escalation(allowed, password=password)
        method = _METHODS.get(read.text("ansible_become_method") or "sudo")
        if method is None:
            wanted = (
                "sudo or doas, which make one command after the other root's, without a terminal "
                "(or let root log in, or set ansible_become to false: then what needs root is unknown)"
            )
            raise read.bad("ansible_become_method", wanted, read.text("ansible_become_method"))
        if method == "doas" and (named := read.find(_PASSWORD)) is not None:
            raise BadInput(
                f"{read.said(named[0])} must not be set: doas reads a password from a terminal alone (nopass)"
            )
        _refuse_another_user(read, method)
        _refuse_flags(read, method)
        return Escalation(True, method, _program(read, method), password)


def _refuse_another_user(read: Variables, method: str) -> None:
    for name in (f"ansible_{method}_user", "ansible_become_user"):  # of the two Ansible takes the first
        if (user := read.text(name)) is not None:
            if user not in ("root", "0", "#0"):
                raise read.bad(name, "root: what needs root is asked as root, and nothing as anybody else", user)
            return


def _refuse_flags(read: Variables, method: str) -> None:
    for name in (f"ansible_{method}_flags", "ansible_become_flags"):
        if (flags := read.text(name)) is not None:
            try:
                words = shlex.split(flags)
            except ValueError as error:
                raise read.bad(name, f"flags of {method} ({error})", flags) from None
            if other := [word for word in words if not _DONE_ANYWAY[method].fullmatch(word)]:
                wanted = f"what siteproof does anyway ({'-H -S -n' if method == 'sudo' else '-n'}); it does not follow"
                raise read.bad(name, wanted, other[0])
            return


def _program(read: Variables, method: str) -> str:
    for name in (f"ansible_{method}_exe", "ansible_become_exe"):
        if (program := read.text(name)) is not None:
            if not _PROGRAM.fullmatch(program):
                raise read.bad(name, "one program, without options", program)
            return program
    return method


def _password_for_stdin(read: Variables) -> str | None:
    """sudo takes it from one line. Raises BadInput, and does not show it."""
    password = read.text(*_PASSWORD)
    if password is None:
        return None
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        encoded = b"\0"
    if len(encoded) > _LONGEST_PASSWORD or re.search(rb"[\0\r\n]", encoded):
        name = next(name for name in _PASSWORD if read.find([name]))
        wanted = f"one line of text, without a NUL, of at most {_LONGEST_PASSWORD} bytes"
        raise BadInput(f"{read.said(name)} must be {wanted}: sudo reads no other password")
    return password
