"""Which dockerd is asked: the host's own, by its socket, whatever the login's environment or context says."""

from __future__ import annotations

SOCKET = "/var/run/docker.sock"
DOCKER = f"docker -H unix://{SOCKET}"
"""The command line's first words. The option goes before DOCKER_HOST, DOCKER_CONTEXT and what a configuration file
calls the current context."""
UNSET = "unset DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION DOCKER_CONFIG\n"
"""Stands before a script that runs docker: variables that would make the option be refused, or another one be asked."""
