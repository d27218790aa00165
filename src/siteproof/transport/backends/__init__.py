"""Hosts that are reached by a program of the operator's machine: docker, podman, kubectl, local."""
