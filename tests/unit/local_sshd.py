"""A real sshd on 127.0.0.1 for one test module, with keys and a configuration of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from lab import sshd as lab_sshd
from siteproof.transport.connection import Connection


def find_sshd() -> str:
    """Where there is none: skipped with the reason, failed if SITEPROOF_LAB_REQUIRED."""
    if found := lab_sshd.find():
        return found
    why = "it asks a real sshd: as root `python -m lab with-tools -- pytest …` brings one, and so does tox"
    if os.environ.get("SITEPROOF_LAB_REQUIRED"):
        pytest.fail(why)
    pytest.skip(why)


class Sshd:
    """Started by `start`, ended by `stop`. Users log in as whoever runs the tests, each key with its own options."""

    def __init__(self, **settings: str) -> None:
        self._program = find_sshd()
        # Not tmp_path: what runs as another user on the "host" has to get through every directory above.
        self.directory = Path(tempfile.mkdtemp(prefix="siteproof-sshd-"))
        self.directory.chmod(0o755)
        self.log = self.directory / "log"
        self.known_hosts = self.directory / "known_hosts"
        self.port = free_port()
        self._settings = {"PermitUserEnvironment": "yes", "MaxStartups": "200", **settings}
        self._authorized = self.directory / "authorized_keys"
        self._authorized.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        configured = self.directory / "sshd_config"
        configured.write_text(self._configuration(self._host_key(), self._authorized))
        self._process = lab_sshd.start(self._program, configured, self.log)
        self._wait_until_it_listens()
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(lab_sshd.READY_S)
        shutil.rmtree(self.directory)

    def new_key(self, name: str) -> Path:
        return lab_sshd.new_key(self.directory / name)

    def let_in(self, name: str, options: str = "") -> Path:
        """A new key that may log in, with the given authorized_keys options."""
        key = self.new_key(name)
        with self._authorized.open("a") as file:
            # Not the home of whoever runs the tests: their shell's startup files are not what is tested.
            home = f'environment="HOME={self.directory}"'
            file.write(f"{','.join(filter(None, [home, options]))} {key.with_suffix('.pub').read_text()}")
        return key

    def connection(self, name: str, key: Path, **changes: object) -> Connection:
        fields: dict[str, object] = {
            "address": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "key_files": (str(key),),
            "ssh_config": os.devnull,
            "options": (("userknownhostsfile", str(self.known_hosts)), ("identitiesonly", "yes")),
            "connect_timeout_s": 2.0,
        }
        return Connection(name=name, **{**fields, **changes})  # type: ignore[arg-type]

    def logins(self) -> int:
        return self.log.read_text(errors="replace").count("Accepted publickey")

    def _host_key(self) -> Path:
        key = self.new_key("host")
        names = f"[127.0.0.1]:{self.port},[localhost]:{self.port}"
        self.known_hosts.write_text(f"{names} {key.with_suffix('.pub').read_text()}")
        return key

    def _configuration(self, host_key: Path | str, authorized: Path | str) -> str:
        return lab_sshd.configuration("127.0.0.1", self.port, host_key, authorized, **self._settings)

    def _wait_until_it_listens(self) -> None:
        lab_sshd.wait(self._process, "127.0.0.1", self.port, self.log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
