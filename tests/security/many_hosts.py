"""Twelve hosts of an operator's project that are one sshd, each with an answer of its own."""

from __future__ import annotations

from operators_project import Project

NAMES = tuple(f"h{number:02d}" for number in range(12))

CHECKS = r"""
from siteproof.asks import command
from siteproof.facts import Node
from siteproof.facts.path import Link
from siteproof.invariants import invariant
import os, warnings
import pytest

def said(host):
    return command(host, "cat {directory}/$WHO", probe="what it says", tools=("cat",), parse=lambda output: output.text)

@invariant("said", family="link", severity="high", incident="", remedy="")
async def test_host_says_the_right_thing(node: Node, link: Link) -> None:
    assert await said(node.host) == "right\n"
"""


def spread(project: Project, checks: str = CHECKS) -> None:
    """Give every host a login of its own, so that it can have an answer of its own."""
    project.hosts = {}
    for name in NAMES:
        key = project.sshd.directory / name
        if not key.exists():
            project.sshd.let_in(name, f'environment="WHO={name}"')
        project.hosts[name] = {"ansible_ssh_private_key_file": str(key)}
        if name != NAMES[0]:
            project.hosts[name]["siteproof_alias_of"] = NAMES[0]
        say(project, name, b"wrong\n")
    project.checks(checks)


def say(project: Project, name: str, answer: bytes) -> None:
    (project.directory / name).write_bytes(answer)
