"""Bridges in the holder's network namespace, veths from there into the hosts'. Nothing in the machine's own."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping

from lab.errors import LabError
from lab.topology import Topology
from lab.topology_host import Host


def batch(pid: int, lines: Iterable[str]) -> None:
    """Run `ip` commands in the network namespace of `pid`, with the machine's own `ip`."""
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"]
    done = subprocess.run(command, input="\n".join(lines) + "\n", text=True, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"the lab's network could not be made: {done.stderr.strip()}")


def bridge(segment: str) -> str:
    return f"br-{segment}"


def make_segments(holder: int, topology: Topology) -> None:
    lines = ["link set lo up"]
    for segment in topology.segments:
        lines += [f"link add {bridge(segment)} type bridge", f"link set {bridge(segment)} up"]
    batch(holder, lines)


def connect(holder: int, topology: Topology, pids: Mapping[str, int]) -> None:
    """Give every host in `pids` its links, addresses and routes; the far ends go when the host's namespace goes."""
    lines = []
    for name, pid in pids.items():
        for number, link in enumerate(topology.hosts[name].links):
            end = port(topology.hosts[name], number)
            own = f"address {hardware_address(name, link.name)} name {link.name} netns {pid}"
            lines.append(f"link add {end} type veth peer {own}")
            lines.append(f"link set {end} master {bridge(link.segment)} up")
    batch(holder, lines)
    for name, pid in pids.items():
        batch(pid, configure(topology.hosts[name]))


def disconnect(holder: int, host: Host) -> None:
    """Take a dead host's links away now: the kernel does so too, but only once it has cleaned up the namespace."""
    for number in range(len(host.links)):
        command = ["nsenter", f"--net=/proc/{holder}/ns/net", "ip", "link", "delete", port(host, number)]
        subprocess.run(command, capture_output=True, check=False)  # gone already is as good


def hardware_address(host: str, link: str) -> str:
    """The same after a restart, or the neighbours would go on sending to the old one."""
    return ":".join(["02", *(f"{byte:02x}" for byte in hashlib.sha256(f"{host}/{link}".encode()).digest()[:5])])


def port(host: Host, number: int) -> str:
    return f"{host.name}.{number}"


def configure(host: Host) -> list[str]:
    lines = ["link set lo up", *(f"address add {address} dev lo" for address in host.loopback)]
    for link in host.links:
        if link.by_host:
            continue
        lines += [f"address add {address} dev {link.name}" for address in link.addresses]
        lines.append(f"link set {link.name} mtu {link.mtu} up")
    given = [a.network for link in host.links if not link.by_host for a in link.addresses]
    reached = [route for route in host.routes if any(route.gateway in network for network in given)]
    lines += [f"route add {route.target} via {route.gateway}" for route in reached]
    return lines
