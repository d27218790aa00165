"""What somebody else than root could have put on a host is neither run nor read as root."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from isolated_host import IsolatedHost, isolated_host

from siteproof.probes.common.owned import OWNED

MADE = """
umask 022
mkdir -p /opt/sure/deep /opt/wide /opt/group /opt/wheel /opt/closed /opt/adm /opt/list /home/mallory/bin
echo >/opt/sure/deep/file; echo >"/opt/sure/a b*"; echo >/opt/closed/file; echo >/opt/adm/file; echo >/opt/wide/file
echo >/opt/sure/shared; echo >/opt/sure/given; echo >/home/mallory/file
chmod 666 /opt/sure/shared; chown mallory /opt/sure/given; chmod 1777 /opt/wide; chmod 775 /opt/group
chgrp mallory /opt/group; echo >/opt/group/file; chmod 775 /opt/wheel; echo >/opt/wheel/file
chmod 700 /opt/closed; chmod 710 /opt/adm; chgrp adm /opt/adm
mkdir -p /opt/closed/volume /etc/closed/own; chown mallory /opt/closed/volume; chmod 700 /etc/closed
ln -s /etc/shadow /opt/closed/volume/conf; echo >/etc/closed/own/file
ln -s /opt/sure/deep /opt/sure/link; ln -s ../sure/./link/file /opt/sure/relative; ln -s loop /opt/sure/loop
ln -s /home/mallory/file /opt/sure/out; ln -s /opt/sure /home/mallory/in; ln -s /opt/wheel /opt/sure/wheel
ln -s /proc/self/root/opt/sure /opt/sure/process
ln -s /opt/sure/deep/nothing /opt/sure/dangling
"""


@pytest.fixture(scope="module")
def host() -> Iterator[IsolatedHost]:
    with isolated_host() as host:
        host.add_user("prober")
        host.add_user("mallory")
        host.run(MADE)
        yield host


def owned(host: IsolatedHost, path: str, user: str) -> tuple[int, str]:
    done = host.run(f"{OWNED}owned {shlex.quote(path)}", user=user, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("user", ["root", "prober"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/etc/passwd",
        "/etc//./ssl/../passwd",
        "/opt/sure/deep/file",
        "/opt/sure/deep/",
        "/opt/sure/a b*",
        "/opt/sure/link/file",
        "/opt/sure/relative",
        "/opt/wheel/file",
        "/opt/sure/wheel/file",
        "/opt/closed/file",
        "/bin/sh",
    ],
)
def test_what_is_root_s_is_believed(host: IsolatedHost, path: str, user: str) -> None:
    assert owned(host, path, user) == (0, "")


@pytest.mark.parametrize("user", ["root", "prober", "mallory"])
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/tmp/file", "/tmp is not root's alone"),
        ("/var/tmp", "/var/tmp is not root's alone"),
        ("/opt/wide/file", "/opt/wide is not"),
        ("/opt/group/file", "/opt/group is not"),
        ("/opt/sure/shared", "/opt/sure/shared is not"),
        ("/opt/sure/given", "/opt/sure/given is not"),
        ("/home/mallory/file", "/home/mallory is not"),
        ("/home/mallory/in/deep/file", "/home/mallory is not"),
        ("/opt/sure/out", "/home/mallory is not"),
        ("/opt/sure/../wide/../sure/deep/file", "/opt/wide is not"),
        ("/proc/1/root/etc/passwd", "under /proc is not the host's"),
        ("/opt/sure/process/deep", "under /proc is not the host's"),
        ("/opt/sure/loop", "too many links"),
        ("/opt/sure/deep/file/more", "is not a directory"),
        ("etc/passwd", "not an absolute path"),
        ("", "not an absolute path"),
    ],
)
def test_what_others_can_change_is_not(host: IsolatedHost, path: str, where: str, user: str) -> None:
    status, said = owned(host, path, user)
    assert status == 1
    assert said.startswith(f"{path}: ") and where in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("path", ["/opt/sure/nothing", "/opt/nothing/at/all", "/opt/sure/dangling"])
def test_what_is_not_there_could_only_come_from_root(host: IsolatedHost, path: str) -> None:
    assert owned(host, path, "prober") == (2, f"{path}: No such file or directory\n")


def test_where_others_may_be_and_we_may_not_nothing_is_believed(host: IsolatedHost) -> None:
    assert owned(host, "/opt/adm/file", "root") == (0, "")
    status, said = owned(host, "/opt/adm/file", "prober")
    assert (status, said) == (1, "/opt/adm/file: /opt/adm cannot be looked into\n")


def test_what_lies_deep_in_a_closed_directory_need_not_be_root_s(host: IsolatedHost) -> None:
    """Containers write below /var/lib/docker, which only root can enter."""
    status, said = owned(host, "/opt/closed/volume/conf", "root")
    assert (status, said.split(": ", 1)[1][:50]) == (1, "/opt/closed/volume is not root's alone to change, ")
    status, said = owned(host, "/opt/closed/volume/conf", "prober")
    assert (status, said) == (1, "/opt/closed/volume/conf: /opt/closed cannot be looked into\n")


def test_what_is_below_etc_is_root_s_doing_however_deep(host: IsolatedHost) -> None:
    assert owned(host, "/etc/closed/own/file", "prober") == (0, "")


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh", "ksh", "zsh --emulate sh"])
def test_every_sh_answers_alike(host: IsolatedHost, shell: str) -> None:
    if host.run(f"command -v {shell.split()[0]}", check=False).returncode:
        pytest.skip(f"there is no {shell} here")
    answers = {
        path: host.run(f"{shell} -c {shlex.quote(f'{OWNED}owned {shlex.quote(path)}')}", check=False).returncode
        for path in ("/opt/sure/relative", "/opt/sure/a b*", "/home/mallory/in/deep/file", "/opt/sure/dangling")
    }
    assert list(answers.values()) == [0, 0, 1, 2]


def test_an_access_list_that_lets_others_write_is_seen(host: IsolatedHost) -> None:
    # What `setfacl -m u:mallory:rwx` writes: version 2, then tag, permissions and id of each entry.
    entries = [(1, 7, -1), (2, 7, "mallory"), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
    uid = int(host.run("id -u mallory").stdout)
    script = (
        "import os, struct; os.setxattr('/opt/list', 'system.posix_acl_access', struct.pack('<I', 2) + b''.join("
        f"struct.pack('<HHi', t, p, {uid} if i == 'mallory' else i) for t, p, i in {entries!r}))"
    )
    set_list = host.run(f"/usr/bin/env python3 -c {shlex.quote(script)}", check=False)
    if set_list.returncode:
        pytest.skip(f"no access lists here: {set_list.stderr.strip().splitlines()[-1]}")
    assert host.run("touch /opt/list/it", user="mallory").returncode == 0
    status, said = owned(host, "/opt/list/it", "prober")
    assert status == 1 and "/opt/list is not" in said
