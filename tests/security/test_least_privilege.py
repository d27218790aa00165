"""What the sudoers fragment lets the login user do as root: to look, and nothing with which one becomes root."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from isolated_host import IsolatedHost, isolated_host

from siteproof.asks import Command, Output
from siteproof.errors import BadInput, ProbeError
from siteproof.evidence import Store
from siteproof.gather import LocalGatherer
from siteproof.privilege import root_commands
from siteproof.probes.text_file import file_lines

PROJECT = Path(__file__).parents[2]

INTERPRETERS = """
    sh bash dash ash ksh mksh zsh busybox env awk mawk gawk nawk perl python python3 python3.11 ruby lua node
    php tclsh expect guile sed ed ex vi vim view nano less more man pager tee cp mv ln dd install rsync scp ssh
    chmod chown chgrp setfacl mount umount systemd-run su sudo doas runuser setpriv chroot unshare strace gdb
    ltrace script screen tmux watch flock nohup stdbuf time parallel make git apt dpkg pip npm cargo
    podman-remote podman ctr nerdctl runc kubectl helm wget ftp nc socat telnet openssl base64 xxd tar zip unzip
    cpio gzip tcpdump iptables ip6tables modprobe insmod sysctl crontab at passwd useradd usermod visudo reboot
    kill timeout nice ionice setsid capsh
"""

WORDS = [
    *(f"{tool} x" for tool in INTERPRETERS.split()),
    *("sh -c id", "/bin/sh -c id", "busybox sh", "env id", "python3 -c 1"),
    *("nft -f -", "nft -f /etc/nftables.conf", "nft --file -", "nft -j -f -", "nft -i", "nft flush ruleset"),
    *("nft delete table inet filter", "nft add rule inet filter input accept", "nft -I /tmp list ruleset"),
    "nft add rule inet siteproof_a out accept",
    "nft add rule inet siteproof_a out 'ip daddr 192.0.2.1 drop'",
    "nft add chain inet siteproof_a out '{ type filter hook input priority 0; policy drop; }'",
    "nft add table inet siteproof_a '; flush ruleset'",
    "nft delete table inet 'siteproof_a; flush ruleset'",
    "nft list table inet siteproof_a -f -",
    *(
        "docker run --privileged x",
        "docker exec x sh",
        "docker cp x:/a /b",
        "docker -H tcp://x ps",
        "docker system prune",
    ),
    *(
        "docker service rm web",
        "docker service rm siteproof_a web",
        "docker service update web",
        "docker load",
        "docker",
    ),
    "docker service create --name siteproof_a --mount type=bind,source=/,target=/x -- image",
    "docker service create --name siteproof_a --network n --secret s -- image",
    "docker service create --name web --network n -- image",
    *(
        "crictl exec x sh",
        "crictl runp x",
        "crictl rm -a",
        "crictl rmi --all",
        "crictl -c /tmp/x images",
        "crictl run x y",
    ),
    *("containerd", "containerd --config /tmp/x config dump", "containerd --config /etc/x oci-hook -- id"),
    *("/tmp/containerd config dump", "/home/kai/bin/id -u", "./id -u", "/proc/12/exe config dump", "/etc/../tmp/id -u"),
    *("nsenter --target 1 --mount sh", "nsenter --net=/proc/1/ns/net sh", "nsenter --net=/proc/1/ns/net", "nsenter"),
    *(
        "nsenter --net=/tmp/x ip addr",
        "nsenter --net=/proc/1/ns/net xargs ping",
        "nsenter --net=/proc/1/ns/net ip netns exec a b",
    ),
    *("xargs", "xargs ping", "xargs sh -c", "xargs -a /etc/shadow ping --", "xargs ping -f --"),
    *(
        "find / -exec sh -c id ';'",
        "find / -delete",
        "find / -fprintf /etc/x y",
        "find / -ok id ';'",
        "find / -execdir id ';'",
    ),
    *(
        "find /tmp -name x",
        "find /etc -exec cat /etc/shadow ';'",
        "find /etc -exec sed -i x '{}' ';'",
        "find / -newerXY x",
    ),
    *("find /etc -exec sed 's/a/b/e' '{}' ';'", "find /etc -exec sed 's/a/b/w /etc/x' '{}' ';'", "find -files0-from -"),
    *("find /etc -exec cat '{}' +", "find /proc/12 -name x", "find /proc -exec cat '{}/root/etc/shadow' ';'"),
    *(
        "cat /tmp/x",
        "cat -- /var/tmp/x",
        "cat /dev/shm/x",
        "cat /home/kai/x",
        "cat /run/user/1000/x",
        "cat /run/lock/x",
    ),
    *("cat /proc/1/root/etc/shadow", "cat /proc/self/environ", "cat /proc/12/cwd/x", "cat /proc/thread-self/fd/1"),
    *("cat /etc/../tmp/x", "cat //tmp/x", "cat /etc/./../home/x", "cat x", "cat -", "cat", "sha256sum -c /etc/x"),
    *(
        "cat /etc/passwd /tmp/x",
        "readlink -f /tmp/x",
        "stat -c %u /home/x",
        "ls -l /tmp",
        "ls -R /etc",
        "test -e /etc/x",
    ),
    *("curl http://x", "curl -sS -o /etc/x --unix-socket /run/docker.sock http://docker/info", "curl -K -"),
    "curl -sS --max-time 5 --unix-socket /tmp/x http://docker/info",
    "curl -sS --max-time 5 --unix-socket /run/docker.sock http://docker/x -X POST",
    *("journalctl -u x", "journalctl --no-pager --file /tmp/x", "journalctl --no-pager --vacuum-size 1", "journalctl"),
    *(
        "systemctl edit x",
        "systemctl restart x",
        "systemctl show x",
        "systemctl status x --no-pager",
        "systemctl link /tmp/x",
    ),
    *(
        "unbound-control reload",
        "unbound-control -c /tmp/x status",
        "unbound-control -s 192.0.2.1 status",
        "netplan apply",
    ),
    *(
        "nmap --interactive",
        "nmap --script x a",
        "nmap -sS -oN /etc/x a",
        "nmap -iL /etc/shadow",
        "nmap -sS --datadir /tmp a",
    ),
    *("iptables-save -f /etc/x", "iptables-save -M /tmp/x", "ip netns exec a sh", "ip -b - addr", "ip link set x down"),
    *("ping -f a", "id", "id -u root x", "less /etc/passwd", "vi /etc/passwd", "sed -n p /etc/passwd"),
]


@pytest.mark.parametrize("words", sorted({*WORDS}))
def test_what_could_make_somebody_root_is_never_granted(words: str) -> None:
    with pytest.raises(BadInput, match="as root"):
        root_commands(Command("cp1", "a probe", 5, "reads", f"$ROOT {words}", root=True))


@pytest.mark.parametrize("glob", ["*", "?", "[!a]", "[^a]", "a*", "[0-9]?"])
def test_a_pattern_stands_for_so_many_characters_of_a_kind(glob: str) -> None:
    """sudo's star takes slashes, blanks and further arguments; so do `?` and a class of what is not."""
    command = Command(
        "cp1", "a probe", 5, "reads", "$ROOT docker inspect $id", root=True, root_patterns=(("id", glob),)
    )
    with pytest.raises(BadInput, match="lets anything through"):
        root_commands(command)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedHost]:
    """Where the fragment of the template's site is all that the login user has."""
    everyone = tmp_path_factory.mktemp("site") / "inventory"
    shutil.copytree(PROJECT / "inventories/example", everyone)
    hosts = everyone / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("ansible_user: root", "ansible_user: prober"))
    file = everyone.parent / "sudoers"
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-p", "no:cacheprovider", "--read-only"]
    line += [f"--hosts={everyone}", f"--sudoers={file}"]
    done = subprocess.run(
        line, cwd=PROJECT, env={**os.environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with isolated_host() as host:
        host.add_user("prober")
        host.add_user("mallory")
        # All hosts' lines at once, for one that has each of their tools.
        text = re.sub(r"^(\S+) \S+ = \(root\)", f"prober {host.name} = (root)", file.read_text(), flags=re.MULTILINE)
        text = re.sub(r"^Defaults:\S+", "Defaults:prober", text, flags=re.MULTILINE)
        for tool in {"nft", "crictl", *(Path(name).name for name in re.findall(r"^    (/\S+)", text, re.MULTILINE))}:
            if host.run(f"command -v {tool}", check=False).returncode:
                host.write(f"/usr/sbin/{tool}", "#!/bin/sh\n", mode=0o755)
        host.sudoers(text)
        yield host


def granted(host: IsolatedHost, words: str) -> bool:
    return host.run(f"sudo -n -l {words}", user="prober", check=False).returncode == 0


def test_sudo_itself_says_no_to_all_of_it(host: IsolatedHost) -> None:
    """`visudo` has taken the fragment; now sudo is asked, of tools that are there."""
    tried = [words for words in dict.fromkeys(WORDS) if re.fullmatch(r"[a-z]\S*", shlex.split(words)[0])]
    script = "\n".join(f"sudo -n -l {words} </dev/null >/dev/null 2>&1 && echo {shlex.quote(words)}" for words in tried)
    assert host.run(f"{script}\ntrue", user="prober").stdout == ""
    assert granted(host, "id -u") and granted(host, "nft -j list ruleset")
    assert host.run("sudo -n id -u", user="prober").stdout == "0\n"


def test_nobody_else_has_any_of_it(host: IsolatedHost) -> None:
    assert host.run("sudo -n -l id -u", user="mallory", check=False).returncode != 0


@pytest.mark.parametrize("user", ["root", "prober"])
def test_a_file_that_others_may_exchange_is_not_read(user: str, host: IsolatedHost, tmp_path: Path) -> None:
    """A link of mallory's where a file is declared would show us, and the report, whatever root can read."""
    host.run("ln -sfn /etc/shadow /home/mallory/guard; printf 'one\\ntwo\\n' >/etc/guard; mkdir -p /opt/own")
    host.run("ln -sfn /home/mallory /opt/own/way; ln -sfn /etc/guard /opt/own/guard")
    host.sudoers("prober ALL = (root) NOPASSWD: ALL", "everything")
    try:
        connection = host.connection("cp1", host.let_in(user), user=user)
        paths = ["/etc/guard", "/opt/own/guard", "/home/mallory/guard", "/opt/own/way/guard", "/etc/nothing"]
        questions = [question for path in paths for question in file_lines("cp1", path).questions]
        gatherer = LocalGatherer({"cp1": connection}, store := Store(tmp_path / "evidence"), "abcdef012345")
        gatherer.ask(questions)
        gatherer.close()
    finally:
        host.run("rm /etc/sudoers.d/everything")
    sure, linked, *others, absent = [store.get(question) for question in questions]
    for answer in (sure, linked):
        assert isinstance(answer, Output) and answer.text.startswith("one\ntwo\n")
    for answer in others:
        assert isinstance(answer, Output) and (answer.status, answer.text) == (1, "")
        assert "/home/mallory is not root's alone to change" in answer.errors
    assert isinstance(absent, Output) and absent.status == 2 and "No such file" in absent.errors
    assert b"$6$" not in b"".join(file.read_bytes() for file in store.directory.iterdir())
    assert not isinstance(sure, ProbeError)
