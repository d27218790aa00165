"""Which hosts are not behind SSH, and the command line that leads to each."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from typing import Any

import pytest

from siteproof.errors import BadInput
from siteproof.gather.protocol import Spec
from siteproof.transport.backend import SSH, Backend
from siteproof.transport.connection import Connection

SHELL = ("/bin/sh", "-c", "a 'b' %s")


def backend(variables: Mapping[str, Any]) -> Backend | None:
    return Connection.from_variables("web", variables).backend


@pytest.mark.parametrize("name", [None, "", *SSH])
def test_a_host_behind_ssh_has_no_backend(name: str | None) -> None:
    connection = Connection.from_variables("web", {"ansible_connection": name, "ansible_host": "10.0.20.1"})
    assert (connection.backend, connection.address) == (None, "10.0.20.1")


@pytest.mark.parametrize(
    ("connection", "variables", "url", "leads"),
    [
        ("local", {"ansible_user": "somebody", "ansible_host": "10.0.20.1"}, "local://", []),
        ("ansible.builtin.local", {}, "local://", []),
        ("docker", {}, "docker://web", ["docker", "exec", "-i", "web"]),
        ("community.docker.docker", {"ansible_host": "web.1"}, "docker://web.1", ["docker", "exec", "-i", "web.1"]),
        (
            "docker",
            {"ansible_docker_host": "other", "ansible_host": "web.1", "ansible_user": "1500:1500"},
            "docker://1500:1500@other",
            ["docker", "exec", "-i", "-u", "1500:1500", "other"],
        ),
        (
            "docker",
            {"ansible_docker_extra_args": "-H 'unix:///a b.sock' --debug", "ansible_docker_timeout": 3},
            "docker://web",
            ["docker", "-H", "unix:///a b.sock", "--debug", "exec", "-i", "web"],
        ),
        (
            "containers.podman.podman",
            {
                "ansible_podman_executable": "/opt/podman",
                "ansible_podman_extra_args": "--remote",
                "ansible_user": "app",
            },
            "podman://app@web",
            ["/opt/podman", "--remote", "exec", "-i", "-u", "app", "web"],
        ),
        ("podman", {"ansible_kubectl_namespace": "shop"}, "podman://web", ["podman", "exec", "-i", "web"]),
        ("kubectl", {"ansible_user": "app"}, "kubectl://web", ["kubectl", "exec", "-i", "web", "--"]),
        (
            "kubernetes.core.kubectl",
            {
                "ansible_kubectl_pod": "deploy/web",
                "ansible_kubectl_namespace": "exec",
                "ansible_kubectl_container": "app",
                "ansible_kubectl_kubeconfig": "/home/o p/.kube/config",
                "ansible_kubectl_context": "home",
                "ansible_kubectl_extra_args": "--cluster=k3s",
            },
            "kubectl://deploy/web?namespace=exec&container=app&kubeconfig=%2Fhome%2Fo+p%2F.kube%2Fconfig&context=home",
            [
                *("kubectl", "--cluster=k3s", "--kubeconfig=/home/o p/.kube/config", "--context=home"),
                *("-n", "exec", "-c", "app", "exec", "-i", "deploy/web", "--"),
            ],
        ),
    ],
)
def test_inventory_variables_say_where(
    connection: str, variables: Mapping[str, Any], url: str, leads: list[str]
) -> None:
    found = backend({"ansible_connection": connection, **variables})
    assert found is not None
    assert found.url == url
    assert found.command_line(SHELL[2]) == [*leads, *SHELL]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ansible_connection": "winrm"}, "inv.yml:3: web: ansible_connection is winrm; hosts are asked through ssh, "),
        (
            {"ansible_connection": "ansible.netcommon.network_cli"},
            "ansible_connection is ansible.netcommon.network_cli",
        ),
        ({"ansible_connection": "dokcer"}, "; did you mean `docker`?"),
        ({"ansible_connection": "community.docker.docker_api"}, "; did you mean `community.docker.docker`?"),
        ({"ansible_connection": "kubernetes.core.kubctl"}, "; did you mean `kubernetes.core.kubectl`?"),
        ({"ansible_connection": ["docker"]}, "inv.yml:3: web: ansible_connection must be text"),
        (
            {"ansible_connection": "kubectl", "ansible_kubectl_token": "hunter22"},
            "web: ansible_kubectl_token is not understood, and it may say another way to the host",
        ),
        ({"ansible_connection": "docker", "ansible_docker_extra_arg": "-H x"}, "mean `ansible_docker_extra_args`?"),
        ({"ansible_connection": "docker", "ansible_docker_extra_args": "'"}, "ansible_docker_extra_args must be argu"),
        ({"ansible_connection": "docker", "ansible_host": "--privileged"}, "ansible_host must be the name of a conta"),
        ({"ansible_connection": "podman", "ansible_become": "perhaps"}, "ansible_become must be true or false"),
    ],
)
def test_what_would_lead_elsewhere_is_refused(variables: Mapping[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        Connection.from_variables("web", variables, {"ansible_connection": "inv.yml:3"})
    assert says in str(refused.value)
    assert "hunter22" not in str(refused.value)


def test_a_missing_tool_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"ansible_connection": "podman", "ansible_podman_executable": "/no/such/podman"}
    found = Connection.from_variables("web", variables, {"ansible_podman_executable": "inv.yml:4"}).backend
    assert found is not None
    with pytest.raises(BadInput) as refused:
        found.refuse_missing_tool()
    assert str(refused.value) == (
        "inv.yml:4: web: ansible_podman_executable: podman://web takes `/no/such/podman`, and there is none on this "
        "machine"
    )
    monkeypatch.setenv("PATH", "")
    local = backend({"ansible_connection": "local"})
    assert local is not None
    local.refuse_missing_tool()
    assert local.user == getpass.getuser()


def test_a_gatherer_in_its_own_process_is_told_all_of_it(tmp_path: Any) -> None:
    variables = {
        "ansible_connection": "kubectl",
        "ansible_kubectl_namespace": "a",
        "ansible_kubectl_extra_args": "-v 1",
    }
    connections = {"web": Connection.from_variables("web", variables), "ssh": Connection.from_variables("ssh", {})}
    spec = Spec(connections, tmp_path, "nonce")
    assert Spec.from_json(json.dumps(json.loads(spec.to_json()))).connections == connections
