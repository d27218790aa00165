"""From a route to an authenticated SSH transport, or one sentence that says why not."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import paramiko
from paramiko.pkey import UnknownKeyType

from siteproof.errors import AuthenticationRefused, HostError, HostKeyMismatch, HostKeyUnknown, Unreachable
from siteproof.machine.child import Child
from siteproof.transport.ssh import known_hosts, ssh_config
from siteproof.transport.ssh.ssh_config import Login
from siteproof.transport.wire import HeldOff, Refused, Transport, hang_up, one_line, words

_AUTHENTICATION_S = 10.0
"""sshd may look the client up in the DNS, and PAM may wait, so this is apart from the connect timeout."""
_UNACKNOWLEDGED_MS = 15_000
"""The kernel gives a connection up when nothing it sent was acknowledged for so long."""
_SLOW_KEY_EXCHANGE = "mlkem768x25519-sha256"
"""Asked for last. Of the ciphers, GCM is asked for first: paramiko compares the others' MACs byte by byte in Python."""


_HELD_OFF = "Not allowed at this time"
"""In place of a version: PerSourcePenalties of OpenSSH 9.8 and later, which are on by default."""
_TOO_MANY = "Exceeded MaxStartups"
_LAST_WORDS = 4096
"""As many bytes of what a ProxyCommand says are kept."""
_LAST_WORDS_S = 1.0


Place = tuple[tuple[str, int, str], ...]


class Dialer:
    """Opens transports. Hosts behind the same jump host share its connection."""

    def __init__(self) -> None:
        self._jumps: dict[Place, Transport] = {}
        self._closed_jumps: dict[Place, HostError] = {}
        """What will be no better for the next host behind it. Many tries are what sshd holds a client off for."""
        self._jump_locks: dict[Place, threading.Lock] = {}
        self._lock = threading.Lock()

    def dial(self, route: Login) -> Transport:
        """Raises HostError."""
        connected = self._socket(route)
        try:
            return _log_in(route, connected)
        except Unreachable as error:
            if isinstance(connected, ProxySocket) and (said := connected.last_line()):
                raise Unreachable(f"{error.message}; its ProxyCommand said last: {said}") from error
            raise

    def close(self) -> None:
        with self._lock:
            jumps = list(self._jumps.values())
            self._jumps.clear()
        for transport in jumps:
            hang_up(transport)

    def _socket(self, route: Login) -> Any:
        if route.proxy_command:
            return ProxySocket(route.proxy_command)
        if not route.jumps:
            return _connect(route)
        hops = tuple(ssh_config.resolve(jump) for jump in route.jumps)
        return self._through(self._jump_transport(hops), route)

    def _jump_transport(self, hops: tuple[Login, ...]) -> Transport:
        """The transport to the last of `hops`, each reached through the one before it."""
        *before, hop = hops
        place = tuple((hop.address, hop.port, hop.user) for hop in hops)
        with self._lock:
            lock = self._jump_locks.setdefault(place, threading.Lock())
        with lock:
            transport = self._jumps.get(place)
            if transport is None or not transport.is_active():
                if (closed := self._closed_jumps.get(place)) is not None:
                    raise type(closed)(closed.message)
                through = self._through(self._jump_transport(tuple(before)), hop) if before else _connect(hop)
                try:
                    transport = _log_in(hop, through)
                except (AuthenticationRefused, HostKeyMismatch, HostKeyUnknown, HeldOff) as error:
                    self._closed_jumps[place] = error
                    raise
                with self._lock:
                    self._jumps[place] = transport
            return transport

    @staticmethod
    def _through(jump: Transport, route: Login) -> paramiko.Channel:
        target = (route.address, route.port)
        try:
            return jump.open("direct-tcpip", route.timeout_s, target)
        except Refused as refused:
            raise Unreachable(f"{route.where}: its jump host could not connect: {refused}") from refused
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(f"{route.where}: nothing through its jump host: {words(error)}") from error


def _connect(route: Login) -> socket.socket:
    try:
        connected = socket.create_connection((route.address, route.port), route.timeout_s)
    except socket.gaierror as error:
        raise Unreachable(f"{route.where}: the name could not be resolved: {error.strerror}") from error
    except TimeoutError as error:
        raise Unreachable(f"{route.where}: no connection within {route.timeout_s:g} s") from error
    except OSError as error:
        raise Unreachable(f"{route.where}: {words(error)}") from error
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    return connected


class ProxySocket(socket.socket):
    """Our end of a ProxyCommand. The program, and what it started, ends when this is closed or we do."""

    def __init__(self, command: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            super().__init__(fileno=ours.detach())
            try:
                self._child = Child(["/bin/sh", "-c", f"exec {command}"], carried=theirs.fileno())
            except BaseException:
                super().close()
                raise
        self._said = b""
        self._reader = threading.Thread(target=self._listen, daemon=True, name="words of a ProxyCommand")
        self._reader.start()

    def _listen(self) -> None:
        with self._child.stderr as stderr:
            while some := os.read(stderr.fileno(), _LAST_WORDS):
                self._said = (self._said + some)[-_LAST_WORDS:]

    def last_line(self) -> str:
        """Of its stderr, once it is closed."""
        self._reader.join(_LAST_WORDS_S)
        lines = self._said.decode("utf-8", "replace").split("\n")
        return next((line for each in reversed(lines) if (line := one_line(each))), "")

    def close(self) -> None:
        super().close()
        if hasattr(self, "_child"):
            self._child.end()


def _log_in(route: Login, connected: Any) -> Transport:
    transport = Transport(connected)
    try:
        known = known_hosts.look_up(route.known_as, route.known_hosts_files)
        _shake_hands(transport, route, known)
        _verify_host_key(transport, route, known)
        _authenticate(transport, route)
    except BaseException:
        hang_up(transport)
        raise
    return transport


def _shake_hands(transport: Transport, route: Login, known: known_hosts.Known) -> None:
    offer = transport.get_security_options()
    offer.key_types = known.algorithms_first(offer.key_types)
    offer.kex = sorted(offer.kex, key=lambda name: name == _SLOW_KEY_EXCHANGE)
    offer.ciphers = sorted(offer.ciphers, key=lambda name: "-gcm@" not in name)
    transport.banner_timeout = transport.handshake_timeout = route.timeout_s
    done = threading.Event()
    transport.start_client(event=done)
    in_time = done.wait(route.timeout_s)
    if transport.is_active() and transport.initial_kex_done:
        return
    if not in_time:
        heard = one_line(transport.remote_version) or transport.first_words or "not a word"
        raise Unreachable(f"{route.where}: no SSH handshake within {route.timeout_s:g} s, heard: {heard}")
    error = transport.get_exception()
    if transport.no_version:
        raise Unreachable(f"{route.where}: says too much before an SSH banner comes") from error
    if not transport.remote_version:
        raise _not_spoken_to(route, transport.first_words) from error
    raise Unreachable(f"{route.where}: the SSH handshake failed: {words(error)}") from error


def _not_spoken_to(route: Login, said: str) -> Unreachable:
    """The connection was closed where the server's version was due."""
    if not said:
        return Unreachable(f"{route.where}: accepted the connection, then closed it without an SSH banner")
    closed = f'{route.where}: closed the connection with the words "{said}"'
    if said == _HELD_OFF:
        return HeldOff(
            f"{closed}: it holds this machine's address off for a while (PerSourcePenalties of OpenSSH 9.8 and later), "
            "after logins from there that failed or were broken off, and each further one prolongs it: wait, look for "
            "the cause in its sshd's log, or take the address out by PerSourcePenaltyExemptList"
        )
    if said == _TOO_MANY:
        return Unreachable(f"{closed}: more logins at once than its MaxStartups or PerSourceMaxStartups allows")
    return Unreachable(closed)


def _verify_host_key(transport: Transport, route: Login, known: known_hosts.Known) -> None:
    shown = transport.get_remote_server_key()
    fingerprint = f"{shown.get_name()} {shown.fingerprint}"
    files = " ".join(str(path) for path in route.known_hosts_files)
    if shown.asbytes() in known.revoked:
        raise HostKeyMismatch(f"{route.where} shows a key that is revoked in {files}: {fingerprint}")
    if not known.keys:
        raise HostKeyUnknown(
            f"{route.where}: its key {fingerprint} is in none of {files}; "
            f"compare it at the host, then: {_keyscan(route)}"
        )
    if not any(key.blob == shown.asbytes() for key in known.keys):
        types = ", ".join(sorted({key.type for key in known.keys}))
        raise HostKeyMismatch(
            f"{route.where} shows the key {fingerprint}, which is not the one ({types}) known under "
            f"{' or '.join(route.known_as)} in {files}"
        )


def _keyscan(route: Login) -> str:
    usable = [path for path in route.known_hosts_files if path != Path(os.devnull)]
    if not usable:
        return f"remove UserKnownHostsFile={os.devnull}, which can hold no key"
    return f"ssh-keyscan -p {route.port} {route.address} >> {usable[0]}"


def _authenticate(transport: Transport, route: Login) -> None:
    transport.auth_timeout = _AUTHENTICATION_S
    tried: list[str] = []
    for attempt, what in _credentials(transport, route, tried):
        try:
            if not attempt():
                return
            tried.append(f"{what} (accepted, but more is asked for)")
        except paramiko.AuthenticationException as error:
            tried.append(what)
            if not transport.is_active() or "timeout" in str(error).lower():
                tried.append(words(error))
                break
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(
                f"{route.where}: the connection broke while logging in: {words(error)}{_host_said(transport)}"
            ) from error
    with_what = f"tried {'; '.join(tried)}" if tried else "there was no key and no password to try"
    raise AuthenticationRefused(f"{route.where} does not let {route.user} in: {with_what}{_host_said(transport)}")


def _host_said(transport: Transport) -> str:
    return f'; the host said: "{said}"' if (said := transport.last_words) else ""


Credential = tuple[Callable[[], list[str]], str]


def _credentials(transport: Transport, route: Login, tried: list[str]) -> Iterator[Credential]:
    """What to log in with, best first: named keys, the agent's, the usual files, the password."""
    named = {path: _load(path) for path in route.identity_files}
    tried += [key for key in named.values() if isinstance(key, str)]
    keys = {path: key for path, key in named.items() if isinstance(key, paramiko.PKey)}
    for path, key in keys.items():
        yield partial(transport.auth_publickey, route.user, key), f"key {path}"
    offered = {key.asbytes() for key in keys.values()}
    for agent_key in _agent_keys():
        if agent_key.asbytes() not in offered and not (route.identities_only and named):
            yield partial(transport.auth_publickey, route.user, agent_key), f"agent key {agent_key.comment}"
    for path in () if named else ssh_config.default_identities():
        if isinstance(usual := _load(path), paramiko.PKey):
            yield partial(transport.auth_publickey, route.user, usual), f"key {path}"
    if (password := route.password) is not None:
        yield partial(transport.auth_password, route.user, password), "the password"


def _agent_keys() -> tuple[paramiko.AgentKey, ...]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return ()
    try:
        return paramiko.Agent().get_keys()
    except (paramiko.SSHException, OSError):  # an agent that does not answer is no agent: the files are tried
        return ()


@lru_cache
def _load(path: Path) -> paramiko.PKey | str:
    """The key, or in words why there is none."""
    try:
        return paramiko.PKey.from_path(path)
    except FileNotFoundError:
        return f"key {path}, which does not exist"
    except paramiko.PasswordRequiredException:
        return f"key {path}, which has a passphrase and has to be in the agent"
    except TypeError:  # cryptography says so of a key with a passphrase
        return f"key {path}, which has a passphrase and has to be in the agent"
    except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
        return f"key {path}, which cannot be used: {words(error)}"
