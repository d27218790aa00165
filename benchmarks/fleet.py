"""Hosts to ask: real sshds, each with a key of its own, or one that stands in for as many addresses as are wanted."""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lab import sshd
from siteproof.facts import FAMILIES

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
        return [process.pid for process in self.sshds]

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
        for process in self.sshds:
            process.terminate()
        for process in self.sshds:
            process.wait()


def start(directory: Path, count: int) -> Fleet:
    """`count` sshds."""
    addresses = {f"host{i:02d}": f"127.0.1.{i}" for i in range(1, count + 1)}
    directory.mkdir()
    keys = {address: sshd.new_key(directory / name) for name, address in addresses.items()}
    _common(directory, keys)
    return Fleet(directory, addresses, [_start(directory, address, keys[address]) for address in addresses.values()])


def stand_in(directory: Path, count: int) -> Fleet:
    """One sshd that is `count` hosts."""
    addresses = {f"host{i:04d}": f"127.1.{i // 250}.{i % 250 + 1}" for i in range(count)}
    directory.mkdir()
    key = sshd.new_key(directory / "host")
    _common(directory, dict.fromkeys(addresses.values(), key))
    # All addresses, of a network namespace that is the fleet's own.
    return Fleet(directory, addresses, [_start(directory, "0.0.0.0", key)])  # noqa: S104  # nosec B104


def _common(directory: Path, host_keys: Mapping[str, Path]) -> None:
    client = sshd.new_key(directory / "client")
    shutil.copy(client.with_suffix(".pub"), directory / "authorized_keys")
    public = {key: key.with_suffix(".pub").read_text().strip() for key in set(host_keys.values())}
    known = directory / "known_hosts"
    known.write_text("".join(f"{address} {public[key]}\n" for address, key in host_keys.items()))
    (directory / "ssh_config").write_text(
        f"Host *\n  User {getpass.getuser()}\n  IdentityFile {client}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n"
    )


def _start(directory: Path, address: str, key: Path) -> subprocess.Popen[bytes]:
    program = sshd.find()
    if program is None:
        raise RuntimeError(
            "the benchmark asks real sshds: `python -m lab with-tools -- python -m benchmarks` brings one"
        )
    configured = directory / f"sshd_config_{address}"
    configured.write_text(sshd.configuration(address, 22, key, directory / "authorized_keys", MaxStartups="2000"))
    log = directory / f"sshd_log_{address}"
    process = sshd.start(program, configured, log)
    sshd.wait(process, "127.0.0.1" if address == "0.0.0.0" else address, 22, log)  # noqa: S104  # nosec B104
    return process
