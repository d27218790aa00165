"""Root where the login user is not: sudo without a password, with one, refused, absent.

The user is a real one without rights where the tests run as root. The sudo is a script: what is tested is what goes
over its stdin and out of its mouth; the real one is asked by tests/security and in the lab.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import gathered
from local_sshd import Sshd

from siteproof.asks import Command, Output, refuse_no_answer
from siteproof.errors import PrivilegeRefused, ProbeError, ToolMissing
from siteproof.evidence.store import Store
from siteproof.transport.connection import Connection

PASSWORD = "correct horse"
TOOLS = ("sh", "id", "timeout", "uname", "cat", "sleep", "env", "dirname")
NO_PASSWORD_NEEDED = """#!/bin/sh
[ "$1" = -n ] && shift
[ "$1" = -S ] && shift
export AS_ROOT=yes
exec "$@"
"""
WANTS_PASSWORD = f"""#!/bin/sh
if [ "$1" = -n ]; then echo "sudo: a password is required" >&2; exit 1; fi
printf %s "$SUDO_PROMPT" >&2
IFS= read -r password
if [ "$password" != "{PASSWORD}" ]; then
printf 'Sorry, try again.\\n%s' "$SUDO_PROMPT" >&2
read -r password || {{ echo "sudo: no password was provided" >&2; echo "sudo: 1 incorrect password attempt" >&2; }}
exit 1
fi
echo "$#" >>"$(dirname "$0")/root_shells"
shift
export AS_ROOT=yes
exec "$@"
"""
REFUSES = """#!/bin/sh
echo "sudo: sorry, you must have a tty to run sudo" >&2
exit 1
"""


def command(host: str, script: str, *, root: bool) -> Command:
    return Command(host=host, probe=script, deadline_s=2, probe_class="reads", script=script, root=root)


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd().start()
    yield server
    server.stop()


def host(sshd: Sshd, name: str, sudo: str | None, **fields: object) -> Connection:
    """A login without rights, whose PATH has the given sudo."""
    directory = sshd.directory / name.replace(" ", "_")
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    for tool in TOOLS:
        (directory / tool).symlink_to(shutil.which(tool) or tool)
    if sudo is not None:
        (directory / "sudo").write_text(sudo)
        (directory / "sudo").chmod(0o755)
    options = f'environment="PATH={directory}"'
    if os.getuid() == 0:
        drop = f"{shutil.which('setpriv')} --reuid 65534 --regid 65534 --clear-groups"
        options += f',command="exec {drop} {directory}/sh -c \\"$SSH_ORIGINAL_COMMAND\\""'
    return sshd.connection(name, sshd.let_in(f"{directory.name}_key", options), **fields)


def ask(store: Path, connection: Connection, *commands: Command) -> list[Output | ProbeError | None]:
    kept = Store(store / "evidence", secrets=connection.secrets)
    found = gathered(connection, commands, kept)
    for file in kept.directory.iterdir():
        assert PASSWORD not in file.read_text()
    return found


SELF = "$ROOT sh -c 'echo root=$AS_ROOT'"


def test_without_a_password_each_command_has_its_sudo(sshd: Sshd, tmp_path: Path) -> None:
    connection = host(sshd, "free", NO_PASSWORD_NEEDED)
    as_root, as_self = ask(
        tmp_path, connection, command("free", SELF, root=True), command("free", "echo root=$AS_ROOT", root=False)
    )
    assert isinstance(as_root, Output) and isinstance(as_self, Output)
    assert (as_root.text, as_self.text) == ("root=yes\n", "root=\n")


def test_with_a_password_all_root_commands_share_one_root_shell(sshd: Sshd, tmp_path: Path) -> None:
    connection = host(sshd, "asks", WANTS_PASSWORD, become_password=PASSWORD)
    commands = [command("asks", f"{SELF}; cat; echo {n} $ROOT", root=True) for n in range(3)]
    *as_root, as_self = ask(tmp_path, connection, *commands, command("asks", "echo root=$AS_ROOT", root=False))
    assert [answer.text for answer in as_root if isinstance(answer, Output)] == [f"root=yes\n{n}\n" for n in range(3)]
    assert isinstance(as_self, Output)
    assert as_self.text == "root=\n"
    assert len((sshd.directory / "asks" / "root_shells").read_text().splitlines()) == 1


def test_a_password_that_sudo_does_not_want_is_not_run_as_a_command(sshd: Sshd, tmp_path: Path) -> None:
    connection = host(sshd, "needs none", NO_PASSWORD_NEEDED, become_password="touch it_ran")
    (answer,) = ask(tmp_path, connection, command("needs none", SELF, root=True))
    assert isinstance(answer, Output)
    assert (answer.text, answer.errors) == ("root=yes\n", "")
    assert not list(sshd.directory.rglob("it_ran"))


@pytest.mark.parametrize(
    ("name", "sudo", "fields", "says"),
    [
        ("wrong password", WANTS_PASSWORD, {"become_password": "another pony"}, "1 incorrect password attempt"),
        ("password not given", WANTS_PASSWORD, {}, "a password is required"),
        ("wants a terminal", REFUSES, {"become_password": PASSWORD}, "must have a tty"),
        ("become is false", NO_PASSWORD_NEEDED, {"become": False}, "ansible_become is false"),
        ("become is false with a password", WANTS_PASSWORD, {"become": False, "become_password": PASSWORD}, "is false"),
    ],
)
def test_refused_root_is_a_refusal_in_sudo_s_words_and_the_rest_is_answered(
    sshd: Sshd, tmp_path: Path, name: str, sudo: str, fields: dict[str, object], says: str
) -> None:
    root, plain = command(name, SELF, root=True), command(name, "echo fine", root=False)
    refused, answered = ask(tmp_path, host(sshd, name, sudo, **fields), root, plain)
    with pytest.raises(PrivilegeRefused, match=says):
        raise_if_none(root, refused)
    assert isinstance(answered, Output)
    assert answered.text == "fine\n"


@pytest.mark.skipif(bool(shutil.which("sudo", path="/usr/local/sbin:/usr/sbin:/sbin")), reason="sudo is in sbin")
@pytest.mark.parametrize("password", [None, PASSWORD], ids=["no password", "password"])
def test_absent_sudo_is_a_missing_tool(sshd: Sshd, tmp_path: Path, password: str | None) -> None:
    name = f"absent {password is None}"
    root, plain = command(name, SELF, root=True), command(name, "echo fine", root=False)
    refused, answered = ask(tmp_path, host(sshd, name, None, become_password=password), root, plain)
    with pytest.raises(ToolMissing, match="sudo"):
        raise_if_none(root, refused)
    assert isinstance(answered, Output)


def raise_if_none(question: Command, answer: Output | ProbeError | None) -> None:
    """As a check meets it."""
    if isinstance(answer, ProbeError):
        raise answer
    assert answer is not None
    refuse_no_answer(question, answer, frozenset({0}))
