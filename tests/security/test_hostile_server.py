"""What a host that somebody else has taken over can do to whoever asks it: nothing but give no answer."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import paramiko
import pytest
from asking import gathered
from local_sshd import Sshd
from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_WINDOW_ADJUST
from paramiko.message import Message

from siteproof.asks import Command, Output, Stream
from siteproof.errors import BadInput, HostError, ProbeError, TimedOut, Unanswered, Unreachable
from siteproof.evidence.store import Store
from siteproof.gather.protocol import Spec
from siteproof.transport import session, shell, wire
from siteproof.transport.channel import Carrier, OverSsh
from siteproof.transport.connection import Connection
from siteproof.transport.shell import ChannelShell
from siteproof.transport.ssh import ssh_config, ssh_session
from siteproof.transport.ssh.dial import Dialer
from siteproof.transport.streams import dns_stream, http_stream
from siteproof.transport.wire import one_line

ACTS = "\x1b]0;owned\x07\x1b[2J\u202e\U000e0041"


class Server(paramiko.ServerInterface):
    """Lets everybody in and opens everything; then does what the test says with the first channel."""

    command = b""

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]

    def check_channel_direct_tcpip_request(self, *where: object) -> int:
        return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.command = command
        return True


class Host:
    """Listens on loopback; `behave` is given the socket of each connection."""

    def __init__(self, directory: Path, behave: Callable[[socket.socket], None]) -> None:
        self.key = paramiko.RSAKey.generate(2048)
        self.client_key = directory / "client"
        paramiko.ECDSAKey.generate().write_private_key_file(str(self.client_key))
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.known_hosts = directory / "known"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.key.get_name()} {self.key.get_base64()}\n")
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError, paramiko.SSHException):
            self._behave(client)

    def transport(self, client: socket.socket, **options: int) -> paramiko.Transport:
        server = paramiko.Transport(client, **options)  # type: ignore[arg-type]
        server.add_server_key(self.key)
        server.start_server(server=Server())
        return server

    def close(self) -> None:
        self._listener.close()

    def connection(self, **changes: object) -> Connection:
        fields: dict[str, object] = {
            "address": "127.0.0.1",
            "port": self.port,
            "user": "somebody",
            "key_files": (str(self.client_key),),
            "ssh_config": os.devnull,
            "options": (("userknownhostsfile", str(self.known_hosts)), ("identitiesonly", "yes")),
            "connect_timeout_s": 3.0,
        }
        return Connection(name="taken", **{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[[Callable[[Host, socket.socket], None]], Host]]:
    made: list[Host] = []

    def make(behave: Callable[[Host, socket.socket], None]) -> Host:
        made.append(Host(tmp_path, lambda client: behave(made[0], client)))
        return made[0]

    yield make
    for each in made:
        each.close()


def accepted(server: paramiko.Transport) -> paramiko.Channel:
    channel = server.accept(20)
    assert channel is not None
    return channel


def gone(transport: paramiko.Transport, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while transport.is_active() and time.monotonic() < end:
        time.sleep(0.02)
    return not transport.is_active()


def ask(connection: Connection, directory: Path, script: str = "echo", deadline_s: float = 1) -> Output | ProbeError:
    question = Command(connection.name, "echo", deadline_s, "reads", script)
    (answer,) = gathered(connection, [question], Store(directory / "evidence"))
    assert answer is not None
    return answer


def test_more_than_was_granted_ends_the_connection(host: Callable[..., Host]) -> None:
    """Nobody reads here, and the server sends as if somebody did: 64 MiB, where 2 were granted."""
    sent: list[int] = []

    def flood(self: Host, client: socket.socket) -> None:
        server = self.transport(client)
        channel = accepted(server)
        for _ in range(2048):
            message = Message()
            message.add_byte(cMSG_CHANNEL_DATA)
            message.add_int(channel.remote_chanid)
            message.add_string(b"x" * 32768)
            server._send_user_message(message)  # type: ignore[attr-defined]
            sent.append(32768)

    server = host(flood)
    route = ssh_config.resolve(server.connection())
    transport = Dialer().dial(route)
    channel = transport.open("session", 5)
    assert gone(transport)
    kept = len(channel.in_buffer)
    assert kept <= transport.default_window_size + 32768
    assert "more than it was allowed" in str(transport.saved_exception)


@pytest.mark.parametrize("kind", ["auth-agent@openssh.com", "x11", "forwarded-tcpip", "session", "direct-tcpip"])
def test_a_host_opens_nothing_at_ours(kind: str, host: Callable[..., Host]) -> None:
    """No agent, no display, no port: nothing of the kind was asked for, so that none is opened from there."""
    refusals: list[object] = []

    def reach_back(self: Host, client: socket.socket) -> None:
        server = self.transport(client)
        channel = accepted(server)
        place = ("127.0.0.1", 22)
        try:
            server.open_channel(kind, place, place, timeout=5)
        except paramiko.SSHException as error:
            refusals.append(error)
        channel.close()

    transport = Dialer().dial(ssh_config.resolve(host(reach_back).connection()))
    channel = transport.open("session", 5)
    end = time.monotonic() + 10
    while not channel.closed and time.monotonic() < end:
        time.sleep(0.02)
    transport.close()
    (refusal,) = refusals
    assert isinstance(refusal, paramiko.ChannelException) and refusal.code == 1


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"SSH-2.0-x\r\n" + struct.pack(">I", 0x7FFFFFF4) + b"x" * 4096, "a packet of 2147483"),
        (b"A" * (1 << 20), "too much before an SSH banner"),
        (b"A line\n" * 200, ""),
        (f"SSH-2.0-{ACTS}\r\n".encode(), ""),
    ],
    ids=["a packet of 2 GiB", "a banner without end", "many lines", "a version that acts"],
)
def test_what_comes_before_the_handshake_is_bounded(first: bytes, says: str, host: Callable[..., Host]) -> None:
    def talk(self: Host, client: socket.socket) -> None:
        client.sendall(first)
        time.sleep(10)

    connection = host(talk).connection(connect_timeout_s=2.0)
    with pytest.raises(HostError) as refused:
        ssh_session.SshSession.connect(connection, Dialer())
    assert says in str(refused.value) and str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_words_of_a_refusal_do_not_act() -> None:
    assert one_line(f"  {ACTS}no\n") == "\\x1b]0;owned\\x07\\x1b[2J\\u202e\\U000e0041no"
    assert len(one_line("x" * 10**6)) == 201


def test_what_goes_wrong_in_the_gatherer_is_told_in_plain_characters() -> None:
    """Its log, and what Python says of a thread that has failed, in words of a host."""
    script = """
import logging, threading
from siteproof.gather import serve
serve.speak_plainly()
logging.getLogger("siteproof").error("while asking %s", "\x1b[2J\u202e")
def fails(): raise RuntimeError("\x1b]0;owned\x07")
thread = threading.Thread(target=fails); thread.start(); thread.join()
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stderr
    assert "while asking \\x1b[2J\\u202e\n" in said and "RuntimeError: \\x1b]0;owned\\x07\n" in said
    assert said.replace("\n", "").isprintable()


def test_what_goes_wrong_in_the_gatherer_is_told_without_secrets(tmp_path: Path) -> None:
    secret = "hunter2Hunter2swordfish"
    script = """
import logging, os, sys
from pathlib import Path
from siteproof.gather import serve
def fails(*given, **named):
    logging.getLogger("siteproof").error("it has %s\\x1b", serve.Store.secrets)
    raise RuntimeError(serve.Store.secrets)
class Store:
    def __init__(self, directory, *, secrets):
        Store.secrets, = secrets
serve.Store, serve.LocalGatherer = Store, fails
serve.serve(Path(sys.argv[1]))
"""
    spec = Spec({}, tmp_path, "nonce", (secret,)).to_json()
    line = [sys.executable, "-c", script, str(tmp_path / "socket")]
    said = subprocess.run(line, input=f"{spec}\n", capture_output=True, text=True, check=False, timeout=60).stderr
    assert "it has «redacted»" in said and "RuntimeError: «redacted»" in said
    assert secret not in said


@pytest.fixture(scope="module")
def real() -> Iterator[Sshd]:
    server = Sshd().start()
    yield server
    server.stop()


@pytest.mark.parametrize("drips", ["yes", "while :; do echo .; sleep 0.05; done", "yes >&2"])
def test_a_host_that_never_stops_talking_is_late(
    drips: str, real: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its shell has started, which no byte cap covers."""
    monkeypatch.setattr(session, "START_S", 2.0)
    monkeypatch.setattr(ssh_session, "START_S", 2.0)
    key = real.let_in(f"talks{abs(hash(drips))}", f'command="{drips}"')
    begin = time.monotonic()
    assert isinstance(ask(real.connection("taken", key), tmp_path), Unreachable)
    assert time.monotonic() - begin < 30


def test_a_command_that_says_a_little_all_the_time_is_late(real: Sshd, tmp_path: Path) -> None:
    """A host that does not keep the time limit that it was given: ours holds, also while something comes."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "timeout").write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift 2; done\nshift\nexec "$@"\n')
    (tools / "timeout").chmod(0o755)
    key = real.let_in("drips", f'environment="PATH={tools}:/usr/bin:/bin"')
    drip = "n=0; while [ $n -lt 400 ]; do echo .; sleep 0.1; n=$((n + 1)); done"
    assert isinstance(ask(real.connection("taken", key), tmp_path, drip, deadline_s=1), TimedOut)


def grant_a_byte_now_and_then(self: Host, client: socket.socket) -> None:
    """Often enough for every single wait, and for a minute; then it is too late for the test."""
    server = self.transport(client, default_window_size=1)
    channel = accepted(server)
    for _ in range(120):
        message = Message()
        message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
        message.add_int(channel.remote_chanid)
        message.add_int(1)
        server._send_user_message(message)  # type: ignore[attr-defined]
        time.sleep(0.5)


def test_a_host_that_takes_a_script_byte_by_byte_is_lost(
    host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_SEND_S", 2.0)
    begin = time.monotonic()
    answer = ask(host(grant_a_byte_now_and_then).connection(), tmp_path)
    assert isinstance(answer, Unreachable)
    assert "the connection was lost" in str(answer) and "bytes were taken in time" in str(answer)
    assert time.monotonic() - begin < 40


def test_a_shell_that_ends_before_it_takes_anything_has_its_say(host: Callable[..., Host], tmp_path: Path) -> None:
    def not_available(self: Host, client: socket.socket) -> None:
        channel = accepted(self.transport(client, default_window_size=0))
        time.sleep(1)  # by now somebody waits to be let say something
        channel.sendall_stderr(b"This account is not available.\n")
        channel.close()
        time.sleep(20)

    answer = ask(host(not_available).connection(), tmp_path)
    assert isinstance(answer, Unreachable)
    assert "the login shell ended" in str(answer) and "This account is not available." in str(answer)


def test_a_host_that_takes_a_dns_question_byte_by_byte_is_late(host: Callable[..., Host]) -> None:
    transport = Dialer().dial(ssh_config.resolve(host(grant_a_byte_now_and_then).connection()))
    question = stream("dns", 2.0, name="forgejo.home.example", type="A")
    begin = time.monotonic()
    with pytest.raises(Unanswered, match="no whole answer within 2 s"):
        dns_stream.ask(OverSsh(transport), question)
    assert time.monotonic() - begin < 12
    transport.close()


class Dripping(Carrier):
    """A line on which there is always one more byte, before anybody grows impatient; after a while it is no test."""

    alive = True

    class Line(socket.socket):
        end = 0.0

        def recv(self, *_: int) -> bytes:
            assert time.monotonic() < self.end, "it is still read"
            time.sleep(0.005)
            return b"\xff"

    def connect(self, question: Stream, end: float) -> socket.socket:
        ours, self._theirs = socket.socketpair()
        line = Dripping.Line(fileno=ours.detach())
        line.end = time.monotonic() + 20
        return line


def test_a_dns_answer_that_drips_is_late() -> None:
    with pytest.raises(Unanswered, match="no whole answer within 1 s"):
        dns_stream.ask(Dripping(), stream("dns", 1.0, name="forgejo.home.example", type="A"))


def test_a_packet_that_is_taken_in_drops_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host decides also over the window of TCP, under every window of SSH."""
    monkeypatch.setattr(wire, "_PACKET_S", 2.0)
    ours, theirs = socket.socketpair()
    ours.settimeout(1)

    def drips() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and theirs.recv(4096):
            time.sleep(0.1)
        theirs.close()

    threading.Thread(target=drips, daemon=True).start()
    packetizer = wire.Packetizer(ours)
    with pytest.raises(TimeoutError, match="not taken within 2 s"):
        packetizer.write_all(b"x" * (8 << 20))
    assert packetizer.closed


def stream(protocol: Literal["dns", "https"], deadline_s: float, **parameters: str) -> Stream:
    return Stream("taken", "stream", deadline_s, "reads", "127.0.0.1", 53, protocol, tuple(parameters.items()))


def test_who_says_that_root_is_there_after_our_end_is_not_talked_to_for_ever(host: Callable[..., Host]) -> None:
    """Asks for the password twice, so that our side of the channel ends, and then plays root's shell."""

    def plays_root(self: Host, client: socket.socket) -> None:
        server = self.transport(client)
        channel = accepted(server)
        told = server.server_object
        assert isinstance(told, Server)
        end = time.monotonic() + 20
        while not told.command and time.monotonic() < end:
            time.sleep(0.02)
        first, second = re.findall(rb"\b[0-9a-f]{32}\b", told.command)
        for _ in range(2):
            channel.sendall_stderr(second + first)
            channel.recv(100)
        channel.sendall(first + second + b"\n")
        time.sleep(20)
        server.close()

    transport = Dialer().dial(ssh_config.resolve(host(plays_root).connection()))
    opened = ChannelShell(transport.open("session", 5))
    with pytest.raises(OSError, match="it ended when 0 of 65 bytes were sent"):
        opened.start_as_root("taken", "password", 30)
    transport.close()


class OneLateLine(Carrier):
    """Rubbish on the first line at once; a second stands when all is over, and nobody speaks on it."""

    alive = True

    def __init__(self, deadline_s: float) -> None:
        self._over = time.monotonic() + deadline_s + 1
        self.ends: list[float] = []
        self.theirs: list[socket.socket] = []

    def connect(self, question: Stream, end: float) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.theirs.append(theirs)
        if self.ends:
            time.sleep(max(0.0, self._over - time.monotonic()))
        else:
            theirs.sendall(b"rubbish " * 100)
        self.ends.append(end)
        return ours


def test_a_line_that_stands_after_the_deadline_is_hung_up() -> None:
    """The certificate of a server that was not believed is asked for once more, by the same deadline."""
    carrier = OneLateLine(3)
    answers: list[bytes] = []
    question = stream("https", 3, url="https://registry.example/")
    asking = threading.Thread(target=lambda: answers.append(http_stream.ask(carrier, question)), daemon=True)
    asking.start()
    asking.join(20)
    (answer,) = answers
    found = json.loads(answer)
    assert (found["failed"], found["chain"]) == ("tls", [])
    first, second = carrier.ends
    assert first == second
    carrier.theirs[1].settimeout(5)
    assert carrier.theirs[1].recv(1) == b""  # not a byte of a handshake, and its end


def proxied(real: Sshd, key: Path, command: str, **changes: object) -> Connection:
    options = (("userknownhostsfile", str(real.known_hosts)), ("identitiesonly", "yes"), ("proxycommand", command))
    return real.connection("far", key, **{"options": options, **changes})


def relay(directory: Path) -> str:
    """Carries bytes there and back, as `ssh -W` does."""
    script = directory / "relay.py"
    script.write_text(
        "import os, socket, sys, threading\n"
        "far = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): far.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := far.recv(65536): os.write(1, data)\n"
    )
    return f"python3 {script} %h %p"


def test_words_of_a_proxy_command_are_in_the_sentence_and_not_on_the_terminal(
    real: Sshd, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = real.let_in("by_words")
    command = "sh -c \"printf 'first\\\\n\\\\033[2J\\\\342\\\\200\\\\256no way there\\\\n' >&2; exit 1\""
    answer = ask(proxied(real, key, command), tmp_path)
    assert isinstance(answer, Unreachable)
    assert str(answer).endswith("; its ProxyCommand said last: \\x1b[2J\\u202eno way there")
    assert capfd.readouterr() == ("", "")


def test_a_flood_of_a_proxy_command_is_bounded(real: Sshd, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answer = ask(proxied(real, real.let_in("by_flood"), "yes >&2", connect_timeout_s=1.0), tmp_path)
    assert isinstance(answer, Unreachable)
    assert len(str(answer)) < 500
    assert capfd.readouterr() == ("", "")


def test_a_proxy_command_and_what_it_started_end_with_the_session(
    real: Sshd, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = real.let_in("by_relay")
    noted = tmp_path / "pids"
    command = f"sh -c 'sleep 600 </dev/null >/dev/null 2>&1 & echo $! >{noted}; echo warning >&2; {relay(tmp_path)}'"
    answer = ask(proxied(real, key, command), tmp_path)
    assert isinstance(answer, Output) and answer.text == "\n"
    left = Path("/proc", noted.read_text().strip(), "stat")
    end = time.monotonic() + 10
    while left.exists() and ") Z " not in left.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    assert not left.exists() or ") Z " in left.read_text()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "$(touch {there})"},
        {"address": "a;touch {there}"},
        {"address": "-oProxyCommand=touch {there}"},
        {"user": "`touch {there}`"},
        {"address": "a\ntouch {there}"},
    ],
    ids=repr,
)
def test_a_name_of_the_inventory_is_no_command_of_ours(changes: dict[str, str], real: Sshd, tmp_path: Path) -> None:
    there = tmp_path / "there"
    changes = {name: value.format(there=there) for name, value in changes.items()}
    connection = proxied(real, real.let_in("by_name_" + str(abs(hash(str(changes))))), "exec true %h %r %n", **changes)
    with pytest.raises(BadInput, match="must not stand in a command line"):
        ssh_config.resolve(connection)
    assert isinstance(ask(connection, tmp_path), Unreachable)
    assert not there.exists()


@pytest.mark.parametrize("changes", [{"address": "a;touch {there}"}, {"user": "`touch {there}`"}], ids=repr)
def test_a_name_of_the_inventory_is_no_command_of_the_ssh_configuration(
    changes: dict[str, str], tmp_path: Path
) -> None:
    """OpenSSH before 9.6 gives a shell whatever `%h` and `%r` are."""
    there = tmp_path / "there"
    config = tmp_path / "config"
    config.write_text('Match exec "true %h %r %n"\n  Port 2200\n')
    changes = {name: value.format(there=there) for name, value in changes.items()}
    connection = Connection(**{"name": "h", "address": "h", "ssh_config": str(config), **changes})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="must not stand in a command line"):
        ssh_config.resolve(connection)
    assert not there.exists()


def test_what_stands_for_a_name_is_replaced_once(real: Sshd) -> None:
    connection = proxied(real, Path("key"), "nc %%h %h %p %r", user="kai")
    assert ssh_config.resolve(connection).proxy_command == f"nc %h 127.0.0.1 {real.port} kai"
