"""Hosts that are not behind SSH: how testinfra's own backends reach them, after their inventory variables."""

from __future__ import annotations

import getpass
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

import testinfra.backend
import testinfra.host

from siteproof.errors import BadInput, NoSuchConnection
from siteproof.text.spelling import did_you_mean
from siteproof.transport.variables import Variables

Kind = Literal["local", "docker", "podman", "kubectl"]

SSH = ("smart", "ssh", "ansible.builtin.ssh", "paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh")
BACKENDS: Mapping[str, Kind] = {
    "local": "local",
    "ansible.builtin.local": "local",
    "docker": "docker",
    "community.docker.docker": "docker",
    "podman": "podman",
    "containers.podman.podman": "podman",
    "kubectl": "kubectl",
    "kubernetes.core.kubectl": "kubectl",
}
"""`ansible_connection` -> testinfra's backend."""

_CONNECTION = "ansible_connection"
_TARGETS: Mapping[Kind, tuple[str, ...]] = {
    "docker": ("ansible_docker_host", "ansible_host"),
    "podman": ("ansible_podman_host", "ansible_host"),
    "kubectl": ("ansible_kubectl_pod", "ansible_host"),
}
_USERS: Mapping[Kind, tuple[str, ...]] = {
    "docker": ("ansible_docker_user", "ansible_user"),
    "podman": ("ansible_podman_user", "ansible_user"),
}
"""`kubectl exec` knows no user."""
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "namespace": ("ansible_kubectl_namespace",),
    "container": ("ansible_kubectl_container",),
    "kubeconfig": ("ansible_kubectl_kubeconfig", "ansible_kubectl_config"),
    "context": ("ansible_kubectl_context",),
}
"""What testinfra's kubectl takes beside the pod."""


@dataclass(frozen=True)
class Backend:
    """Plain data."""

    kind: Kind
    target: str = ""
    """The container or the pod."""
    user: str | None = None
    tool: str = ""
    """The operator's program that leads there, a name or a path."""
    arguments: tuple[str, ...] = ()
    """What that program is given before all else."""
    options: tuple[tuple[str, str], ...] = ()
    """testinfra's own, by name."""
    said: str = ""
    """Where the inventory names the tool, as a sentence about it begins."""

    @staticmethod
    def from_variables(host: str, read: Variables) -> Backend | None:
        """None for a host behind SSH. Raises BadInput for a connection, or a variable of one, that is not known."""
        name = read.text(_CONNECTION) or "ssh"
        if name in SSH:
            return None
        if name not in BACKENDS:
            known = ", ".join(("ssh", *dict.fromkeys(BACKENDS.values())))
            hint = did_you_mean(name, (*SSH, *BACKENDS))
            said = f"{read.said(_CONNECTION)} is {name}; hosts are asked through {known}{hint}"
            raise BadInput(said) if hint else NoSuchConnection(said)
        kind = BACKENDS[name]
        if kind == "local":
            return Backend("local", user=getpass.getuser(), said=read.said(_CONNECTION))
        executable, arguments = f"ansible_{kind}_executable", f"ansible_{kind}_extra_args"
        _refuse_others(kind, read, {executable, arguments})
        return Backend(
            kind=kind,
            target=_target(kind, read) or host,
            user=read.text(*_USERS.get(kind, ())),
            tool=read.text(executable) or kind,
            arguments=_arguments(arguments, read),
            options=_options(read) if kind == "kubectl" else (),
            said=read.said(executable if read.text(executable) else _CONNECTION),
        )

    @property
    def url(self) -> str:
        """As testinfra has it: `docker://web`, `kubectl://web?namespace=shop`."""
        user = f"{self.user}@" if self.user and self.kind != "local" else ""
        return f"{self.kind}://{user}{self.target}" + (f"?{urlencode(self.options)}" if self.options else "")

    @property
    def carries_streams(self) -> bool:
        """Whether a TCP connection of ours can leave from the host."""
        return self.kind == "local"

    def refuse_missing_tool(self) -> None:
        """Raises BadInput where this machine cannot even try."""
        if self.tool and shutil.which(self.tool) is None:
            raise BadInput(f"{self.said}: {self.url} takes `{self.tool}`, and there is none on this machine")

    def command_line(self, command: str) -> list[str]:
        """What testinfra's backend runs here so that a shell there runs `command`, with our stdin as its own."""
        taken: list[tuple[str, tuple[str, ...]]] = []

        def take(template: str, *values: str) -> testinfra.backend.base.CommandResult:
            taken.append((template, values))
            return backend.result(0, b"", b"", b"")

        kind = testinfra.backend.get_backend_class(self.kind)
        spec = f"{self.user}@{self.target}" if self.user else self.target
        backend = kind() if self.kind == "local" else kind(spec, **dict(self.options))
        host = testinfra.host.Host(backend)
        backend.set_host(host)
        backend.run_local = take
        host.run(command)
        ((template, values),) = taken
        if self.kind == "local":
            return ["/bin/sh", "-c", template]
        # testinfra's quotes around %s would stay in the value. Its own run_local has no use for a stdin, we have.
        template = template.replace('"%s"', "%s").replace(" exec ", " exec -i ", 1)
        rest = iter(values)
        _, *words = [re.sub("%s", lambda _: next(rest), word) for word in shlex.split(template)]
        return [self.tool, *self.arguments, *words]


def _refuse_others(kind: Kind, read: Variables, known: set[str]) -> None:
    """A variable that says how to get there, and that is not followed, would lead somewhere else."""
    followed = known | {*_TARGETS[kind], *_USERS.get(kind, ())}
    if kind == "kubectl":
        followed |= {name for names in _OPTIONS.values() for name in names}
    for name in read.names(f"ansible_{kind}_"):
        if name not in followed and not name.endswith("_timeout"):
            hint = did_you_mean(name, followed)
            raise BadInput(f"{read.said(name)} is not understood, and it may say another way to the host{hint}")


def _target(kind: Kind, read: Variables) -> str | None:
    found = read.find(_TARGETS[kind])
    if found is None:
        return None
    name, value = found
    if not re.fullmatch(r"[A-Za-z0-9_][\w./-]*", str(value)):
        raise read.bad(name, "the name of a container or a pod", value)
    return str(value)


def _arguments(name: str, read: Variables) -> tuple[str, ...]:
    text = read.text(name)
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise read.bad(name, f"arguments ({error})", text) from None


def _options(read: Variables) -> tuple[tuple[str, str], ...]:
    found = ((option, read.text(*names)) for option, names in _OPTIONS.items())
    return tuple((option, value) for option, value in found if value is not None)
