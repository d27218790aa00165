"""A tool that root's PATH under sudo or doas lacks: found where root alone may put one, else named."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import gathered
from isolated_host import IsolatedHost, isolated_host
from operators_project import Project

from siteproof.asks import Command, Output, refuse_no_answer
from siteproof.errors import PrivilegeRefused, ProbeError, ToolMissing
from siteproof.evidence.store import Store

pytest_plugins = "pytester"

PASSWORD = "correct horse"
NARROW = 'Defaults secure_path="/usr/sbin:/usr/bin"'
ASKED = "need toy; $ROOT toy"


@pytest.fixture(scope="module")
def host() -> Iterator[IsolatedHost]:
    with isolated_host() as host:
        host.add_user("prober", PASSWORD)
        host.run("chmod 755 /usr/local/bin && chown root:root /usr/local/bin")
        host.write("/usr/local/bin/toy", '#!/bin/sh\nid -u; echo "$PATH"\n', mode=0o755)
        yield host


def ask(host: IsolatedHost, directory: Path, **changes: Any) -> str:
    """What the tool says as root, as a check would take it."""
    connection = host.connection("cp1", host.let_in("prober"), user="prober", **changes)
    question = Command("cp1", "toy", 5, "reads", ASKED, root=True)
    (answer,) = gathered(connection, [question], Store(directory / "evidence", secrets=connection.secrets))
    if isinstance(answer, ProbeError):
        raise answer
    assert isinstance(answer, Output)
    refuse_no_answer(question, answer, frozenset({0}))
    return answer.text


@pytest.mark.parametrize("password", [None, PASSWORD], ids=["no password", "password"])
def test_a_directory_of_roots_own_is_looked_in(host: IsolatedHost, tmp_path: Path, password: str | None) -> None:
    host.sudoers(f"{NARROW}\nprober ALL = (root) {'' if password else 'NOPASSWD: '}ALL")
    said = ask(host, tmp_path, become_password=password).split()
    assert said[0] == "0"
    assert said[1].startswith("/usr/sbin:/usr/bin:")  # root's own first
    assert "/usr/local/bin" in said[1].split(":")


@pytest.mark.parametrize("password", [None, PASSWORD], ids=["no password", "password"])
@pytest.mark.parametrize(
    "open_it", ["chmod 777 /usr/local/bin", "chgrp users /usr/local/bin && chmod g+w /usr/local/bin"]
)
def test_a_directory_that_others_write_to_is_not(
    host: IsolatedHost, tmp_path: Path, password: str | None, open_it: str
) -> None:
    host.sudoers(f"{NARROW}\nprober ALL = (root) {'' if password else 'NOPASSWD: '}ALL")
    host.run(open_it)
    try:
        with pytest.raises(ToolMissing, match="root has no toy on the PATH|has no toy"):
            ask(host, tmp_path, become_password=password)
    finally:
        host.run("chmod 755 /usr/local/bin && chown root:root /usr/local/bin")


def test_where_the_limit_is_sudos_own_its_path_is_too(host: IsolatedHost, tmp_path: Path) -> None:
    host.sudoers(f"{NARROW}\nprober ALL = (root) NOPASSWD: ALL, !/usr/bin/timeout")
    with pytest.raises(ToolMissing, match="root has no toy on the PATH that sudo or doas gives it"):
        ask(host, tmp_path)


CHECK = """
from siteproof.asks import command
from siteproof.facts import Node
from siteproof.facts.path import Link
from siteproof.invariants import invariant

@invariant("toy", family="link", severity="high", incident="", remedy="")
async def test_toy_is_there(node: Node, link: Link) -> None:
    assert await command(node.host, "need toy; $ROOT toy", probe="toy", root=True, tools=("toy",), parse=bool)
"""


def test_check_access_says_where_the_login_user_has_it(
    host: IsolatedHost, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    host.sudoers(f"{NARROW}\nprober ALL = (root) NOPASSWD: ALL")
    project = Project(pytester, host, host.let_in("prober"))
    project.hosts = {"one": {"ansible_user": "prober"}}
    project.checks(CHECK)
    ran = project.run("--check-access")
    ran.stdout.fnmatch_lines(["one*reached as prober*root*none"])
    host.run("chmod 777 /usr/local/bin")
    try:
        ran = project.run("--check-access")
    finally:
        host.run("chmod 755 /usr/local/bin")
    ran.stdout.fnmatch_lines(["one*root*toy (not on the PATH*secure_path; the login user has /usr/local/bin/toy)"])
    assert ran.ret == 6


def test_doas_is_followed(host: IsolatedHost, tmp_path: Path) -> None:
    doas = shutil.which("doas")
    if doas is None:
        pytest.skip("it asks a real doas")
    there = "cat >/usr/local/sbin/doas && chmod 4755 /usr/local/sbin/doas"
    subprocess.run([*host.enter(), "sh", "-c", there], input=Path(doas).read_bytes(), check=True)
    host.write("/etc/doas.conf", "permit nopass prober\n", mode=0o400)
    host.pam("doas", "@include common-auth\n@include common-account\n@include common-session-noninteractive")
    host.sudoers("root ALL = ALL")
    assert ask(host, tmp_path, become_method="doas", become_program="doas").split()[0] == "0"
    host.write("/etc/doas.conf", "permit prober\n", mode=0o400)
    with pytest.raises(PrivilegeRefused, match="doas: Authentication required"):
        ask(host, tmp_path / "again", become_method="doas", become_program="doas")
