"""Hosts to ask: real sshds, each with a key of its own, or one that stands in for as many addresses as are wanted."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from siteproof.facts import FAMILIES

_READY_S = 10.0
MTU = 65536
"""Of loopback, which is the link of these hosts."""


@dataclass(frozen=True)
class Fleet:
    """Hosts that listen, and how they are reached."""

    directory: Path
    addresses: Mapping[str, str]
    """Name -> address, all on port 22."""
    sshds: Sequence[subprocess.Popen[bytes]] = field(repr=False)

    @property
    def pids(self) -> list[int]:
        return [sshd.pid for sshd in self.sshds]

    @property
    def ssh_config(self) -> Path:
        return self.directory / "ssh_config"

    def ssh_config_sharing(self, sockets: Path) -> Path:
        """The same with one connection per host that all ssh commands share."""
        sockets.mkdir(mode=0o700)
        shared = sockets / "ssh_config"
        shared.write_text(
            f"{self.ssh_config.read_text()}  ControlMaster auto\n  ControlPath {sockets}/%C\n  ControlPersist 60\n"
        )
        return shared

    @property
    def inventory(self) -> dict[str, Any]:
        """As Ansible reads it; JSON is YAML."""
        return {"all": {"hosts": {n: {"ansible_host": a} for n, a in self.addresses.items()}, "vars": self.variables}}

    @cached_property
    def variables(self) -> dict[str, Any]:
        others = [name for name in FAMILIES if name != "link"]
        return {
            "ansible_user": getpass.getuser(),
            "ansible_ssh_common_args": f"-F {self.ssh_config}",
            "siteproof_link": {"mtu": MTU},
            "siteproof_absent": dict.fromkeys(others, "not part of the benchmark"),
        }

    def write_inventory(self, path: Path) -> Path:
        path.write_text(json.dumps(self.inventory, indent=1))
        return path

    def reached_at(self, addresses: Mapping[str, str]) -> Fleet:
        """The same hosts at other addresses, say behind a relay."""
        known = self.directory / "known_hosts"
        keys = dict(line.split(" ", 1) for line in known.read_text().splitlines())
        with known.open("a") as file:
            file.writelines(f"{address} {keys[self.addresses[name]]}\n" for name, address in addresses.items())
        return Fleet(self.directory, addresses, self.sshds)

    def stop(self) -> None:
        for sshd in self.sshds:
            sshd.terminate()
        for sshd in self.sshds:
            sshd.wait()


def start(directory: Path, count: int) -> Fleet:
    """`count` sshds."""
    addresses = {f"host{i:02d}": f"127.0.1.{i}" for i in range(1, count + 1)}
    directory.mkdir()
    keys = {address: _new_key(directory / name) for name, address in addresses.items()}
    _common(directory, keys)
    return Fleet(directory, addresses, [_start(directory, address, keys[address]) for address in addresses.values()])


def stand_in(directory: Path, count: int) -> Fleet:
    """One sshd that is `count` hosts."""
    addresses = {f"host{i:04d}": f"127.1.{i // 250}.{i % 250 + 1}" for i in range(count)}
    directory.mkdir()
    key = _new_key(directory / "host")
    _common(directory, dict.fromkeys(addresses.values(), key))
    # All addresses, of a network namespace that is the fleet's own.
    return Fleet(directory, addresses, [_start(directory, "0.0.0.0", key)])  # noqa: S104  # nosec B104


def _common(directory: Path, host_keys: Mapping[str, Path]) -> None:
    client = _new_key(directory / "client")
    shutil.copy(client.with_suffix(".pub"), directory / "authorized_keys")
    public = {key: key.with_suffix(".pub").read_text().strip() for key in set(host_keys.values())}
    known = directory / "known_hosts"
    known.write_text("".join(f"{address} {public[key]}\n" for address, key in host_keys.items()))
    (directory / "ssh_config").write_text(
        f"Host *\n  User {getpass.getuser()}\n  IdentityFile {client}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n"
    )


def _start(directory: Path, address: str, key: Path) -> subprocess.Popen[bytes]:
    settings = {
        "ListenAddress": address,
        "HostKey": key,
        "AuthorizedKeysFile": directory / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "yes",
        "MaxStartups": "2000",
    }
    configuration = directory / f"sshd_config_{address}"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    log = directory / f"sshd_log_{address}"
    with log.open("wb") as file:
        sshd = subprocess.Popen([_sshd(), "-D", "-e", "-f", str(configuration)], stdin=subprocess.DEVNULL, stderr=file)
    _wait_until_it_listens("127.0.0.1" if address == "0.0.0.0" else address, sshd, log)  # noqa: S104  # nosec B104
    return sshd


def _wait_until_it_listens(address: str, sshd: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and sshd.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((address, 22)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"sshd did not start: {log.read_text(errors='replace')}")


def _sshd() -> str:
    found = shutil.which("sshd") or shutil.which("sshd", path="/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError("the benchmark asks real sshds: install OpenSSH's server (Debian: openssh-server)")
    return found


def _new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path
