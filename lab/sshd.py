"""A real sshd of one's own, for tests and benchmarks: with keys and a configuration that are nobody else's."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from lab.build.machine import find_tool

READY_S = 10.0
# What every one of them is: no PAM, no passwords, and no questions about where its files are.
SETTINGS = {
    "PidFile": "none",
    "StrictModes": "no",
    "UsePAM": "no",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PermitRootLogin": "yes",
}


def find() -> str | None:
    """Where sshd is, if there is one that can be used."""
    return find_tool("sshd") if find_tool("ssh-keygen") else None


def configuration(address: str, port: int, host_key: Path | str, authorized: Path | str, **settings: str) -> str:
    """The text of an sshd_config."""
    all_of_it = {
        "ListenAddress": address,
        "Port": str(port),
        "HostKey": str(host_key),
        "AuthorizedKeysFile": str(authorized),
        **SETTINGS,
        **settings,
    }
    return "".join(f"{name} {value}\n" for name, value in all_of_it.items())


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path


def start(program: str, configured: Path, log: Path) -> subprocess.Popen[bytes]:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with log.open("wb") as file:
        return subprocess.Popen([program, "-D", "-e", "-f", configured], stdin=subprocess.DEVNULL, stderr=file)


def wait(process: subprocess.Popen[bytes] | None, address: str, port: int, log: Path) -> None:
    """Until it listens. Raises RuntimeError with what it said."""
    end = time.monotonic() + READY_S
    while process is not None and process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"sshd did not start: {log.read_text(errors='replace')}")
