"""A real sshd on 127.0.0.1 for one test module, with keys and a configuration of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from siteproof.transport.connection import Connection

_READY_S = 10.0


def find_sshd() -> str:
    found = shutil.which("sshd") or shutil.which("sshd", path="/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError("these tests ask a real sshd: install OpenSSH's server (Debian: openssh-server)")
    return found


class Sshd:
    """Started by `start`, ended by `stop`. Users log in as whoever runs the tests, each key with its own options."""

    def __init__(self, **settings: str) -> None:
        # Not tmp_path: what runs as another user on the "host" has to get through every directory above.
        self.directory = Path(tempfile.mkdtemp(prefix="siteproof-sshd-"))
        self.directory.chmod(0o755)
        self.log = self.directory / "log"
        self.known_hosts = self.directory / "known_hosts"
        self.port = free_port()
        self._settings = settings
        self._authorized = self.directory / "authorized_keys"
        self._authorized.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        host_key = self.new_key("host")
        names = f"[127.0.0.1]:{self.port},[localhost]:{self.port}"
        self.known_hosts.write_text(f"{names} {host_key.with_suffix('.pub').read_text()}")
        settings = {
            "ListenAddress": "127.0.0.1",
            "Port": str(self.port),
            "HostKey": str(host_key),
            "AuthorizedKeysFile": str(self._authorized),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "yes",
            "PermitUserEnvironment": "yes",
            "MaxStartups": "200",
            **self._settings,
        }
        configuration = self.directory / "sshd_config"
        configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([find_sshd(), "-D", "-e", "-f", str(configuration)], stderr=log)
        self._wait_until_it_listens()
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_READY_S)
        shutil.rmtree(self.directory)

    def new_key(self, name: str) -> Path:
        path = self.directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
        return path

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

    def _wait_until_it_listens(self) -> None:
        end = time.monotonic() + _READY_S
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"sshd did not start: {self.log.read_text(errors='replace')}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
