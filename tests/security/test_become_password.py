"""The password for sudo goes to the sudo that asked for it, once, and to nobody else."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import gathered
from isolated_host import IsolatedHost, isolated_host

from siteproof.asks import Command, Output
from siteproof.errors import BadInput, PrivilegeRefused, ProbeError, ToolMissing
from siteproof.evidence.store import Store
from siteproof.transport import shell
from siteproof.transport.backends import backend_session
from siteproof.transport.backends.process import ProcessShell
from siteproof.transport.connection import Connection
from siteproof.transport.shell import ChannelShell
from siteproof.transport.ssh import ssh_session

PASSWORD = "correct horse; echo battery >&2"
ROOT = "id -u; cat"
"""A probe's stdin is empty, also in root's shell."""


@pytest.fixture(scope="module")
def host() -> Iterator[IsolatedHost]:
    with isolated_host() as host:
        host.add_user("prober", PASSWORD)
        host.add_user("mallory")
        host.run("mkdir -m 1777 /heard")
        yield host


@pytest.fixture(autouse=True)
def afresh(host: IsolatedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.sudoers("prober ALL = (root) ALL")
    host.run("rm -rf /run/sudo/ts /heard/* /usr/local/bin/sudo; cp -p /etc/pam.d/sudo /root/pam || true")
    monkeypatch.setattr(ssh_session, "START_S", 2.0)
    monkeypatch.setattr(backend_session, "START_S", 2.0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that was given to any shell's stdin."""
    everything: list[bytes] = []
    for kind in (ChannelShell, ProcessShell):

        def noted(self: shell.Shell, data: bytes, send: object = kind.send) -> None:
            everything.append(data)
            send(self, data)  # type: ignore[operator]

        monkeypatch.setattr(kind, "send", noted)
    return everything


def times(sent: list[bytes], password: str = PASSWORD) -> int:
    return b"".join(sent).count(password.encode())


def by_ssh(host: IsolatedHost, options: str = "", **changes: object) -> Connection:
    fields: dict[str, object] = {"user": "prober", "become_password": PASSWORD, **changes}
    return host.connection("cp1", host.let_in(str(fields["user"]), options), **fields)


def by_tool(host: IsolatedHost, directory: Path) -> Connection:
    """Through a program of this machine, as `docker exec` is one: all but its last word is where to go."""
    tool = directory / "docker"
    tool.write_text(f'#!/bin/sh\nfor last; do :; done\nexec {shlex.join(host.enter("prober"))} sh -c "$last"\n')
    tool.chmod(0o755)
    variables = {"ansible_connection": "docker", "ansible_docker_executable": str(tool)}
    return Connection.from_variables("cp1", {**variables, "ansible_become_password": PASSWORD})


@pytest.fixture(params=["ssh", "a tool of this machine"])
def connection(request: pytest.FixtureRequest, host: IsolatedHost, tmp_path: Path) -> Connection:
    return by_ssh(host) if request.param == "ssh" else by_tool(host, tmp_path)


def ask(directory: Path, connection: Connection, script: str = ROOT) -> Output | ProbeError:
    store = Store(directory / "evidence")  # which is told no secret, so that it shows what it is given
    question = Command("cp1", "root", 5, "reads", script, root=True)
    (answer,) = gathered(connection, [question], store)
    assert answer is not None
    kept = b"".join(file.read_bytes() for file in store.directory.iterdir())
    assert (connection.become_password or "?").encode() not in kept
    assert (connection.become_password or "?") not in f"{answer} {answer!r} {connection!r}"
    return answer


def refusal(directory: Path, connection: Connection, kind: type[ProbeError] = PrivilegeRefused) -> str:
    answer = ask(directory, connection)
    assert type(answer) is kind, answer
    assert str(answer).isprintable()
    return str(answer)


def test_sudo_asks_and_gets_it_once(connection: Connection, sent: list[bytes], tmp_path: Path) -> None:
    answer = ask(tmp_path, connection)
    assert isinstance(answer, Output)
    assert (answer.status, answer.text, answer.errors) == (0, "0\n", "")
    assert times(sent) == 1


@pytest.mark.parametrize(
    "rules",
    [
        "prober ALL = (root) NOPASSWD: ALL",
        "Defaults timestamp_type=global\nprober ALL = (root) ALL",
    ],
    ids=["NOPASSWD", "asked for a moment ago"],
)
def test_who_is_not_asked_does_not_say_it(
    rules: str, host: IsolatedHost, connection: Connection, sent: list[bytes], tmp_path: Path
) -> None:
    host.sudoers(rules)
    host.run("sudo -S -v", user="prober", given=f"{PASSWORD}\n")
    answer = ask(tmp_path, connection)
    assert isinstance(answer, Output) and answer.text == "0\n"
    assert times(sent) == 0


def test_a_lecture_is_listened_to(host: IsolatedHost, connection: Connection, tmp_path: Path) -> None:
    host.sudoers("Defaults lecture=always, !use_pty, passwd_tries=5, passprompt_override\nprober ALL = (root) ALL")
    answer = ask(tmp_path, connection)
    assert isinstance(answer, Output) and answer.text == "0\n"


def test_a_wrong_password_is_said_once(
    host: IsolatedHost, connection: Connection, sent: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ssh_session, backend_session):
        monkeypatch.setattr(module, "START_S", 20.0)  # PAM lets who was wrong wait for two
    host.run("chpasswd", given="prober:another\n")
    try:
        assert "cp1: sudo: 1 incorrect password attempt" in refusal(tmp_path, connection)
    finally:
        host.run("chpasswd", given=f"prober:{PASSWORD}\n")
    assert times(sent) == 1


def test_who_may_not_is_told_so(host: IsolatedHost, connection: Connection, tmp_path: Path) -> None:
    host.sudoers("mallory ALL = (root) ALL")
    said = refusal(tmp_path, connection)
    assert "sudo" in said


def test_a_password_that_has_expired_is_not_said_again(
    host: IsolatedHost, connection: Connection, sent: list[bytes], tmp_path: Path
) -> None:
    host.run("chage -d 0 prober")
    try:
        said = refusal(tmp_path, connection)
    finally:
        host.run("chage -d 20000 prober")
    assert "expired" in said and "asked is 'Current password:', which is not for us to answer" in said
    assert times(sent) == 1


def test_another_question_of_pam_is_not_answered(
    host: IsolatedHost, connection: Connection, sent: list[bytes], tmp_path: Path
) -> None:
    """A real module of PAM that asks for an address where a one-time password would be asked for."""
    before = host.read("/etc/pam.d/sudo")
    host.pam("sudo", "auth required pam_ftp.so users=prober\naccount required pam_permit.so\n")
    try:
        said = refusal(tmp_path, connection)
    finally:
        host.pam("sudo", before)
    assert "e-mail address" in said and "did not ask for the password, so it was not sent" in said
    assert times(sent) == 0


SUDO_RS = """#!/bin/sh
printf '[sudo: %s] {asks}' "$SUDO_PROMPT" >&2
IFS= read -r password
echo >&2
shift
exec /usr/bin/sudo -n "$@"
"""


def test_the_prompt_of_sudo_rs_is_ours(
    host: IsolatedHost, connection: Connection, sent: list[bytes], tmp_path: Path
) -> None:
    host.sudoers("prober ALL = (root) NOPASSWD: ALL")
    host.write("/usr/local/bin/sudo", SUDO_RS.format(asks="Password: "), mode=0o755)
    answer = ask(tmp_path, connection)
    assert isinstance(answer, Output) and answer.text == "0\n"
    assert times(sent) == 1


def test_what_sudo_rs_asks_else_is_not_answered(
    host: IsolatedHost, connection: Connection, sent: list[bytes], tmp_path: Path
) -> None:
    host.write("/usr/local/bin/sudo", SUDO_RS.format(asks="Verification code: "), mode=0o755)
    assert "Verification code:', which is not for us to answer" in refusal(tmp_path, connection)
    assert times(sent) == 0


ECHOES = {
    "cat": "tee /heard/it",
    "an echo": 'printf "%s\\n" "$SSH_ORIGINAL_COMMAND" >&2; tee /heard/it >&2',
    "an echo, word by word": 'printf "%s\\n" $SSH_ORIGINAL_COMMAND >&2; tee /heard/it',
    "an echo without blanks": 'echo "$SSH_ORIGINAL_COMMAND" | tr -d \\" \'\\" >&2; tee /heard/it',
    "an echo as if asked": 'printf "%s" "$SSH_ORIGINAL_COMMAND" >&2; tee /heard/it',
    "the last words as if asked": 'set -- $SSH_ORIGINAL_COMMAND; while [ $# -gt 3 ]; do printf "%s" "$1$2" >&2; shift; '
    "done; tee /heard/it",
    "commands on stdin": "tee /heard/it | sh",
    "another prompt": 'printf "[sudo] password for prober: " >&2; tee /heard/it',
    "a menu": 'printf "1) reboot\\n2) shell\\n> "; tee /heard/it',
    "a prompt that acts": 'printf "\\033[2JPassword: \\xe2\\x80\\xae" >&2; tee /heard/it',
    "a flood": "(head -c 100 /dev/zero >/heard/it); yes >&2",
    "nothing": "exec true",
}


@pytest.mark.parametrize("forced", ECHOES.values(), ids=ECHOES)
def test_a_forced_command_never_gets_it(forced: str, host: IsolatedHost, sent: list[bytes], tmp_path: Path) -> None:
    """It lets the shell through that the login user's own commands take, and nothing else."""
    host.write(
        "/usr/local/bin/forced", f'#!/bin/sh\n[ "$SSH_ORIGINAL_COMMAND" = "exec sh -s" ] && exec sh -s\n{forced}\n'
    )
    host.run("chmod 755 /usr/local/bin/forced")
    said = refusal(tmp_path, by_ssh(host, 'command="/usr/local/bin/forced"'))
    assert "it was not sent" in said
    assert times(sent) == 0
    assert PASSWORD not in host.run("cat /heard/* 2>/dev/null", check=False).stdout


@pytest.mark.parametrize("login", ["/usr/sbin/nologin", "/bin/false", "/bin/cat", "/usr/bin/tee", "/bin/rbash"])
def test_a_login_shell_that_is_none_never_gets_it(
    login: str, host: IsolatedHost, sent: list[bytes], tmp_path: Path
) -> None:
    host.run(f"usermod --shell {login} prober")
    try:
        assert isinstance(ask(tmp_path, by_ssh(host)), ProbeError)
    finally:
        host.run("usermod --shell /bin/sh prober")
    assert times(sent) == 0


@pytest.mark.parametrize("login", ["/bin/bash", "/bin/dash", "/bin/bash -x"])
def test_every_shell_that_runs_the_line_can_be_asked(
    login: str, host: IsolatedHost, sent: list[bytes], tmp_path: Path
) -> None:
    """Also one that shows on stderr what it runs, where the words stand together before sudo asks."""
    host.write("/usr/local/bin/login", f'#!/bin/sh\nexec {login} "$@"\n', mode=0o755)
    host.run("usermod --shell /usr/local/bin/login prober")
    try:
        answer = ask(tmp_path, by_ssh(host))
    finally:
        host.run("usermod --shell /bin/sh prober")
    assert isinstance(answer, Output) and answer.text == "0\n"
    assert times(sent) == 1


def test_without_sudo_it_is_a_missing_tool(
    host: IsolatedHost, connection: Connection, sent: list[bytes], tmp_path: Path
) -> None:
    host.run("mv /usr/bin/sudo /usr/bin/sudo.away")
    try:
        assert "no sudo that runs" in refusal(tmp_path, connection, ToolMissing)
    finally:
        host.run("mv /usr/bin/sudo.away /usr/bin/sudo")
    assert times(sent) == 0


@pytest.mark.parametrize(
    "password",
    ["$(touch /heard/ran)", " both ends ", "-n", "'\"\\", "%p%u%h", "tab\there", "über ✓ 密", "a:b", "#", "*" * 254],
)
def test_every_character_of_a_password_is_one(password: str, host: IsolatedHost, tmp_path: Path) -> None:
    host.run("chpasswd", given=f"prober:{password}\n")
    try:
        answer = ask(tmp_path, by_ssh(host, become_password=password))
    finally:
        host.run("chpasswd", given=f"prober:{PASSWORD}\n")
    assert isinstance(answer, Output) and answer.text == "0\n"
    assert host.run("ls /heard").stdout == ""


@pytest.mark.parametrize("password", ["one\ntwo", "one\0two", "one\r", "\udc80", "x" * 255])
def test_a_password_that_sudo_cannot_read_is_refused_unseen(password: str) -> None:
    with pytest.raises(BadInput) as refused:
        Connection.from_variables("cp1", {"ansible_become_password": password})
    assert "ansible_become_password must be one line" in str(refused.value)
    assert password not in str(refused.value) and str(refused.value).isprintable()


def test_it_is_in_no_argument_no_environment_and_no_log(
    host: IsolatedHost, connection: Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Root itself looks for it, on a host that holds nothing but this, while root's shell is there."""
    host.write("/root/needle", f"{PASSWORD}\n", mode=0o600)
    look = "for each in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do tr '\\0' '\\n' <$each; done 2>/dev/null"
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "paramiko")
    answer = ask(tmp_path, connection, f"{look} | tee /dev/stderr | grep -cFf /root/needle")
    assert isinstance(answer, Output)
    assert "sudo" in answer.errors and "SUDO_PROMPT=" in answer.errors
    assert answer.text == "0\n"
    assert PASSWORD not in caplog.text
    if connection.backend is None:
        assert "sudo -S" not in caplog.text and "Authentication" in caplog.text
