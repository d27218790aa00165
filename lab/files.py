"""What is written into a host's upper layer before it boots: its configuration, identity and units."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lab.errors import LabError
from lab.topology import DAEMONS, HERE, LOGIN, Topology
from lab.topology_host import BASE_SERVICES, Host

LOGIN_ID = 1500
"""Of the login user, whom each base calls LOGIN."""
SECRET = (".key", "_key", "authorized_keys", ".nmconnection")
"""What may be read by root alone, or whose reader refuses it."""
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Units that wait for hardware, seats, time or housekeeping that a host in a namespace does not have.
MASKED = (DAEMONS / "common/masked-units").read_text().split()


def machine_id(lab: str, host: str) -> str:
    return hashlib.sha256(f"siteproof-lab/{lab}/{host}".encode()).hexdigest()[:32]


def write_host(layer: Path, host: Host, topology: Topology, assets: Path, base: Path, lab: str) -> None:
    """Fill the upper directory of a host that does not exist yet, over its base."""
    for path, text in _contents(host, topology, assets, lab):
        target = _under(layer, path)
        target.write_bytes(text)
        if path.endswith(SECRET) or path.startswith("/etc/netplan/"):
            target.chmod(0o600)
        elif "/sbin/" in path:
            target.chmod(0o755)
    if host.resolver == "resolved":
        _under(layer, "/etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    for path in (*host.disks, *(p for p, source in host.binds.items() if (_source_is_directory(source, assets)))):
        _under(layer, path).mkdir(exist_ok=True)
    for path, source in host.binds.items():
        if not _source_is_directory(source, assets):
            _under(layer, path).touch()
    for path, leads_to in host.symlinks.items():
        _under(layer, path).symlink_to(leads_to)
    _login(layer, host, topology.login, base)
    _own_home(layer, topology.login)
    _units(layer, host, topology)


def _login(layer: Path, host: Host, login: str, base: Path) -> None:
    """The base's login user by this site's name, with this host's shell."""
    if login == LOGIN and not host.login_shell:
        return
    for name in ("passwd", "shadow", "group", "gshadow", "sudoers.d/siteproof"):
        lines = (base / "etc" / name).read_text().splitlines()
        written = _under(layer, f"/etc/{name}")
        written.write_text("".join(f"{_login_line(line, login, host.login_shell, name)}\n" for line in lines))
        shutil.copystat(base / "etc" / name, written)
        owner = (base / "etc" / name).stat()
        os.chown(written, owner.st_uid, owner.st_gid)


def _login_line(line: str, login: str, shell: str, name: str) -> str:
    if name.startswith("sudoers"):
        return re.sub(rf"^{LOGIN}\b", login, line)
    fields = line.split(":")
    if fields[0] != LOGIN:
        return line
    fields[0] = login
    if name == "passwd":
        fields[5:] = [f"/home/{login}", shell or fields[6]]
    return ":".join(fields)


def _own_home(layer: Path, login: str) -> None:
    for directory in ("root", f"home/{login}"):
        for path in (layer / directory, layer / directory / ".ssh"):
            if path.is_dir():
                path.chmod(0o700)
    home = layer / "home" / login
    for path in (home, *home.rglob("*")) if home.exists() else ():
        os.chown(path, LOGIN_ID, LOGIN_ID)


def _source_is_directory(source: str, assets: Path) -> bool:
    return source.startswith("assets/") and (assets / source.removeprefix("assets/")).is_dir()


def _contents(host: Host, topology: Topology, assets: Path, lab: str) -> Iterator[tuple[str, bytes]]:
    key = asset(assets, "id_ed25519.pub")
    yield "/etc/hostname", f"{host.name}\n".encode()
    yield "/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n".encode()
    yield "/etc/machine-id", f"{machine_id(lab, host.name)}\n".encode()
    yield CA_BUNDLE, asset(assets, "ca-certificates.crt")
    if host.resolver not in ("", "resolved"):
        yield "/etc/resolv.conf", f"nameserver {host.resolver}\n".encode()
    if host.mode == "systemd":
        yield "/etc/ssh/ssh_host_ed25519_key", asset(assets, f"hostkeys/{host.name}")
        yield "/etc/ssh/ssh_host_ed25519_key.pub", asset(assets, f"hostkeys/{host.name}.pub")
        root_login = "prohibit-password" if host.root_login else "no"
        sshd = (DAEMONS / "common/sshd.conf").read_text() + f"PermitRootLogin {root_login}\n"
        yield "/etc/ssh/sshd_config.d/lab.conf", sshd.encode()
        yield "/etc/systemd/journald.conf.d/lab.conf", (DAEMONS / "common/journald.conf").read_bytes()
        yield f"/home/{topology.login}/.ssh/authorized_keys", key
        if host.root_login:
            yield "/root/.ssh/authorized_keys", key
    for path, source in host.files.items():
        if source.startswith("assets/"):
            yield path, asset(assets, source.removeprefix("assets/"))
        else:
            template = topology.template(source)
            text = topology.fill(template.read_text(), host.name, str(template.relative_to(HERE.parent)))
            yield path, text.encode()


def asset(assets: Path, name: str) -> bytes:
    try:
        return (assets / name).read_bytes()
    except OSError as error:
        raise LabError(f"the build has no {name}: {error}") from error


def _under(layer: Path, path: str) -> Path:
    target = layer / path.removeprefix("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _units(layer: Path, host: Host, topology: Topology) -> None:
    if host.mode != "systemd":
        return
    units = layer / "etc/systemd/system"
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True)
    unwanted = [f"{name}.service" for name in BASE_SERVICES if name not in host.services]
    if "docker" not in host.services:
        unwanted.append("docker.socket")
    for unit in (*MASKED, *unwanted):
        (units / unit).symlink_to("/dev/null")
    for service in host.services:
        own = topology.template(f"units/{service}.service")
        if own.exists():
            (units / own.name).write_text(topology.fill(own.read_text(), host.name, own.name))
            (wants / own.name).symlink_to(f"../{own.name}")
        else:
            (wants / f"{service}.service").symlink_to(f"/lib/systemd/system/{service}.service")
