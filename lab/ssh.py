"""The operator's ssh: a configuration, the client key, and every host's key by name and address."""

from __future__ import annotations

from pathlib import Path

from lab.files import asset
from lab.topology import Topology


def write(directory: Path, site: Topology, assets: Path) -> None:
    directory.mkdir(mode=0o700)
    key, known = directory / "id_ed25519", directory / "known_hosts"
    key.touch(0o600)
    key.write_bytes(asset(assets, "id_ed25519"))
    lines = []
    for host in site.systemd_hosts:
        kind, value = asset(assets, f"hostkeys/{host.name}.pub").decode().split()[:2]
        names = ",".join([host.name, *map(str, host.addresses)])
        lines.append(f"{names} {kind} {value}\n")
    known.write_text("".join(lines))
    options = {
        "IdentityFile": key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": known,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
    }
    (directory / "config").write_text("Host *\n" + "".join(f"  {k} {v}\n" for k, v in options.items()))
