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
from siteproof.evidence.store import Store
from siteproof.gather import LocalGatherer
from siteproof.previews.root_tools import others_write
from siteproof.previews.sudoers import root_commands
from siteproof.probes.files.text_file import file_lines

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
        "find / -maxdepth 1 -exec sh -c id ';'",
        "find / -maxdepth 1 -delete",
        "find / -maxdepth 1 -fprintf /etc/x y",
        "find / -maxdepth 1 -ok id ';'",
        "find / -maxdepth 1 -execdir id ';'",
    ),
    *(
        "find /tmp -maxdepth 1 -name x",
        "find /etc -maxdepth 1 -exec cat /etc/shadow ';'",
        "find /etc -maxdepth 1 -exec sed -i x '{}' ';'",
        "find / -maxdepth 1 -newerXY x",
    ),
    *(
        "find /etc -maxdepth 1 -exec sed 's/a/b/e' '{}' ';'",
        "find /etc -maxdepth 1 -exec sed 's/a/b/w /etc/x' '{}' ';'",
        "find -files0-from -",
    ),
    *("find /proc /proc/. -maxdepth 1 -name x", "find -L /etc/x /etc/y -maxdepth 2 -name x", "find /etc -name x"),
    *("find /etc -depth -maxdepth 1", "find /etc -maxdepth 1 -maxdepth 9", "find /etc -maxdepth 1 -o -maxdepth 9"),
    *("find /etc -maxdepth 1 -path /etc/x", "find /etc -maxdepth 1 -exec test '{}/root' -ef / ';'", "find -maxdepth 1"),
    *("find /etc -maxdepth 1 -user root", "find /etc -maxdepth 1 -name .", "find /etc -maxdepth 1 -printf 'a etc/x'"),
    *(
        "find -L /etc -maxdepth 1 -exec test '{}' -ef /proc/1/root ';'",
        "find /etc -maxdepth 1 -exec sed 's/^/| /' '{}' ';'",
    ),
    *(
        "find /etc -maxdepth 1 -exec cat '{}' +",
        "find /proc/12 -maxdepth 1 -name x",
        "find /proc -maxdepth 1 -exec cat '{}/root/etc/shadow' ';'",
    ),
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
    "curl -q -sS --max-time 5 --unix-socket /tmp/x http://docker/info",
    "curl -q -sS --max-time 5 --unix-socket /run/docker.sock http://docker/x -X POST",
    "curl -sS --max-time 5 --unix-socket /run/docker.sock http://docker/info",
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
    # As sudo joins them, and others may split them.
    *("cat -- '/etc/my conf/a file'", "cat -- '/etc/a /tmp/x'", "cat -- ''", "cat -- '/etc/a '", "cat -- '/etc/a  b'"),
    *("unbound-control -c '/etc/a b' status", "find '/etc/x -maxdepth' 0", "find /etc -maxdepth 1 -printf 'a tmp/x'"),
    *("docker info --format 'a --x'", "journalctl -u x --no-pager", "systemctl show x --no-pager", "docker info ''"),
    "docker service create --label siteproof.a=1 --name siteproof_a -- image sh --mount x",
    *("find /proc -maxdepth 1 -exec cat '{}/environ' ';'", "grep -azEh -e . -- /proc/1/environ", "grep -r . /etc"),
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


def fragment_of(everyone: Path, inventory: str, *options: str) -> str:
    """For the user `prober` on every host."""
    shutil.copytree(PROJECT / "inventories" / inventory, everyone / inventory)
    hosts = everyone / inventory / "hosts.yml"
    hosts.write_text(re.sub("ansible_user: (root|siteproof)", "ansible_user: prober", hosts.read_text()))
    (everyone / "run/none/ssh").mkdir(parents=True, exist_ok=True)
    (everyone / "run/none/ssh/config").touch()
    file = everyone / f"{inventory}.sudoers"
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    line += [f"--hosts={everyone / inventory}", f"--sudoers={file}", *options]
    environment = {**os.environ, "SITEPROOF_LAB_HOME": str(everyone), "SITEPROOF_LAB": "none"}
    done = subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return file.read_text()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedHost]:
    """Where the fragment of the template's site is all that the login user has."""
    fragment = fragment_of(tmp_path_factory.mktemp("site"), "example", "--read-only")
    with isolated_host() as host:
        host.add_user("prober")
        host.add_user("mallory")
        # All hosts' lines at once, for one that has each of their tools.
        text = re.sub(r"^(\S+) \S+ = \(root\)", f"prober {host.name} = (root)", fragment, flags=re.MULTILINE)
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


# sudo compares one line, the words joined by blanks: whoever runs it chooses where one ends.


def granted_lines(text: str) -> list[list[str]]:
    """The words of each line that sudo allows, split at every blank, as they are said to sudo."""
    text = text.replace(", \\\n", "\n").replace(": \\\n", ":\n")
    lines = dict.fromkeys(re.findall(r"^    (/usr/sbin/.*|/usr/bin/containerd.*|/var/.*)$", text, re.MULTILINE))
    return [[re.sub(r"\\(.)", r"\1", part.replace(r"\\\\", "\\\\")) for part in line.split()] for line in lines]


@pytest.fixture(scope="module")
def every_line(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Of the lab's inventory and of the template's, with all that may be asked."""
    directory = tmp_path_factory.mktemp("everything")
    return [
        line
        for inventory in ("lab", "example")
        for line in granted_lines(fragment_of(directory, inventory, "--changes"))
    ]


def test_each_line_starts_in_the_root_directory(tmp_path: Path) -> None:
    """What is relative is then root's, too."""
    for inventory in ("lab", "example"):
        lines = re.findall(r"^prober .*", fragment_of(tmp_path, inventory, "--changes"), re.MULTILINE)
        assert lines and all(
            re.fullmatch(r"prober \S+ = \(root\) CWD=/ TIMEOUT=\d+ NOPASSWD: \\", line) for line in lines
        )


def test_however_the_words_are_joined_none_is_a_file_of_others(every_line: list[list[str]]) -> None:
    """From / on: every run of neighbours may be one word, and any word may be a file or a program."""
    assert {Path(line[0]).name for line in every_line} >= {"find", "cat", "curl", "docker", "crictl", "nft", "nsenter"}
    for tool, *parts in every_line:
        for begin in range(len(parts)):
            for end in range(begin + 1, len(parts) + 1):
                word = " ".join(parts[begin:end])
                if re.match(
                    r"/proc/(?:1/root|1/ns/[a-z]+|\[1-9\]\S*/(?:stat|environ))(?: |\Z)", word
                ):  # the kernel's, not a link
                    continue
                assert not others_write("/" + word.lstrip("/")), (tool, word)


def test_however_the_words_are_split_no_option_comes_to_light(every_line: list[list[str]]) -> None:
    """What begins with a dash is an option where it was granted as one: never the inside of a word, or behind `--`."""
    known = re.compile(
        r"-[A-Za-z0-9]+|-|--|--(?:config|constraint|container-label|detach|endpoint-mode|filter|format|host-timeout|"
        r"initial-rtt-timeout|label|max-retries|max-rtt-timeout|max-time|name|network|no-pager|no-resolve-image|"
        r"image-endpoint|no-trunc|quiet|reason|replicas|restart-condition|runtime-endpoint|stop-grace-period|traceroute|type|unix-socket)|--net=\S+"
    )
    for tool, *parts in every_line:
        if not tool.endswith("/nft"):
            assert [part for part in parts if part.startswith("-") and not known.fullmatch(part)] == []
        if tool.endswith("/docker") and "--" in parts:
            assert [part for part in parts[parts.index("--") + 1 :] if part.startswith("-")] == []
        if tool.endswith("/journalctl"):
            assert parts.index("--no-pager") < parts.index("-u")
        if tool.endswith("/curl"):
            assert parts[0] == "-q"


BAIT = "a file of the login user, read by root"
BAIT_TIME = "1234567890"


def as_granted(parts: list[str]) -> list[str]:
    """With the texts of find and the format of docker in one word again."""
    words: list[str] = []
    for part in parts:
        whole = not words or len(words) < 2 or words[-2] not in ("-printf", "--format") or part[0] in "-()!;"
        words[len(words) - (not whole) :] = [part] if whole else [f"{words[-1]} {part}"]
    return words


def resplit(parts: list[str]) -> Iterator[list[str]]:
    """Two neighbours in one word and the others in one each, or all from somewhere on in one."""
    for at in range(len(parts) - 1):
        yield [*parts[:at], " ".join(parts[at : at + 2]), *parts[at + 2 :]]
        yield [*parts[:at], " ".join(parts[at:])]


def test_split_elsewhere_no_line_reads_or_runs_what_lies_in_the_users_directory(host: IsolatedHost) -> None:
    """Real tools, from a directory in which whatever a word could be called is there, and a program."""
    lines = granted_lines(host.read("/etc/sudoers.d/siteproof"))
    tried = []
    for tool, *parts in lines:
        name = Path(tool).name
        if any("[" in part for part in parts if name != "find") or not tool.startswith("/usr/sbin"):
            continue  # patterns, of which no word has a blank; a containerd that is not here
        tried += [[name, *words] for words in resplit(as_granted(parts))]
    names = {word for line in tried for word in line if word[0] not in "/-" and len(word) < 200 and "{}" not in word}
    host.write("/home/prober/bait.sh", f"#!/bin/sh\necho {shlex.quote(BAIT)}\n", mode=0o755)
    lay = "mkdir -p /etc/containerd/certs.d /home/prober/bait && cd /home/prober/bait || exit\n"
    for name in sorted(names):
        quoted, above = shlex.quote(f"./{name}"), shlex.quote(f"./{Path(name).parent}")
        lay += f"mkdir -p {above} && cp ../bait.sh {quoted}\n"
    host.run("exec sh", given=f"{lay}find . -exec touch -d @{BAIT_TIME} {{}} +\n", user="root")
    before = host.run("ls -A /").stdout
    assert len(tried) > 200
    for start in range(0, len(tried), 200):  # each within the time that one run has
        script = "".join(f"sudo -n {shlex.join(line)} </dev/null 2>&1\n" for line in tried[start : start + 200])
        done = host.run("exec sh", given=f"cd /home/prober/bait && [ -x 0 ] || exit 9\n{script}true", user="prober")
        assert "not allowed" not in done.stdout and "a password is required" not in done.stdout
        assert BAIT not in done.stdout and BAIT_TIME not in done.stdout
    assert host.run("ls -A /").stdout == before


CERTS = "/etc/containerd/certs.d"


def swallowing(parts: list[str]) -> Iterator[list[str]]:
    """A `find` all of whose tests are text of other words, and then one of its -exec, of whatever is there."""
    if "-printf" not in parts:
        return  # none of its words takes any text but grep's pattern, which reads nothing then
    first = parts.index("-printf")
    if parts[0] == "/proc":
        path = parts.index("-path")
        other = next(at for at in range(path, len(parts)) if parts[at : at + 2] == ["-o", "-printf"])
        begun, first = [*parts[: path + 1], " ".join(parts[path + 1 : other]), "-o"], other + 1
    else:
        begun = parts[:first]
    for at in (at for at, part in enumerate(parts) if part == "-exec" and at > first):
        end = parts.index(";", at)
        if parts[end + 1] == "-printf":
            closing = [")"] if "(" in begun else []
            rest = [";", "-printf", " ".join(parts[end + 2 : len(parts) - len(closing)]), *closing]
            yield [*begun, "-printf", " ".join(parts[first + 1 : at]), *parts[at:end], *rest]


def deeper(words: list[str]) -> list[str]:
    """The depth is gone, into the path before it."""
    at = words.index("-maxdepth")
    return [*words[: at - 1], " ".join(words[at - 1 : at + 1]), *words[at + 1 :]]


def started_elsewhere(parts: list[str]) -> Iterator[list[str]]:
    """A `find` that starts at one of its later words, and does there what its last -exec does."""
    options, parts = (parts[:1], parts[1:]) if parts[0] in ("-L", "-H") else ([], parts)
    last = len(parts) - 1 - parts[::-1].index("-exec")
    end = parts.index(";", last)
    closing = ["-printf", " ".join(parts[end + 2 :])] if parts[end + 1 :] else []
    for at in range(1, last):
        if parts[at][0] not in "-()!;":
            between = [" ".join(parts[at + 1 : last])] if at + 1 < last else []
            start = [" ".join(parts[:at]), parts[at], *between]
            yield [*options, *start, *parts[last : end + 1], *closing]


HELD = "what root alone can read"


@pytest.mark.parametrize("how", ["as it was granted", "without its depth", "nor its tests", "from another word"])
def test_no_find_leaves_the_place_where_it_was_sent(how: str, host: IsolatedHost) -> None:
    """The login user holds a directory open, so that find would come to it below /proc.

    Links in it lead to a file of root's, by all names that find reads, and it looks as a containerd of the host's does.
    """
    host.write("/root/held", f"{HELD}\n", mode=0o600)
    host.write("/usr/local/bin/containerd", "#!/bin/sh\n", mode=0o755)
    host.run(f"mkdir -p {CERTS}/a/b/c; cp /root/held {CERTS}/a/b/c/hosts.toml; chmod 600 {CERTS}/a/b/c/hosts.toml")
    lines = [line[1:] for line in granted_lines(host.read("/etc/sudoers.d/siteproof")) if line[0].endswith("/find")]
    running = [parts for parts in lines if "-exec" in parts]
    tried = {
        "as it was granted": [as_granted(parts) for parts in lines],
        "without its depth": [deeper(as_granted(parts)) for parts in lines],
        "nor its tests": [deeper(words) for parts in running for words in swallowing(parts)],
        "from another word": [words for parts in running for words in started_elsewhere(parts)],
    }[how]
    looks = """mkdir -p ~/held && cd ~/held && ln -sfn /proc/1/ns ns && ln -sfn / root && echo containerd >comm
        for name in stat cgroup cmdline hosts.toml; do ln -sfn /root/held $name; done
        ln -sfn /usr/local/bin/containerd exe && printf 'Uid:\\t0\\t0\\t0\\t0\\n' >status\n"""
    script = "".join(f"sudo -n find {shlex.join(words)} </dev/null 2>&1\n" for words in tried)
    try:
        done = host.run("exec sh", given=f"HOME=/home/prober\n{looks}\nexec 9<.\n{script}true", user="prober")
    finally:
        host.run(f"rm -rf /root/held /usr/local/bin/containerd /home/prober/held {CERTS}/a")
    assert {words[0] for words in lines} == {"/proc", "-L", "-H"}
    assert len(tried) >= (100 if how == "from another word" else 5)
    assert "not allowed" not in done.stdout and "a password is required" not in done.stdout
    assert HELD not in done.stdout
    walked = re.findall(r"^find: '/(?!proc/\d|etc/|var/).*", done.stdout, re.MULTILINE)
    assert [line for line in walked if "No such file" not in line] == []


def test_a_program_of_the_users_is_not_run_by_a_find_that_reads_certificates(host: IsolatedHost) -> None:
    host.run(f"mkdir -p {CERTS}")
    text = r"""cd && mkdir -p w && cd w && mkdir -p 2/x "sed s/^" && : >2/hosts.toml
        printf '#!/bin/sh\nid; head -c 60 /etc/shadow\n' >'sed s/^/|\x20'; chmod +x 'sed s/^/|\x20'
        D=/etc/containerd/certs.d
        sudo -n find -L "$D -maxdepth" 2 '(' -xtype l -printf '\n== siteproof link %p\n -o -true ) ( ( -type d -o -name hosts.toml -type f ) ( ! -user 0 -o -perm -020 -o -perm -002 ) -printf \n== siteproof foreign %p\n -prune -o -type d -printf \n== siteproof directory %p\n' -o -name hosts.toml -type f -printf '\n== siteproof hosts %s %h\n' -exec 'sed s/^/|\x20/' '{}' ';' -printf '\n== siteproof whole %h\n' -o '(' -name '*.crt' -o -name '*.cert' ')' -printf '\n== siteproof certificate %p\n' ')'"""  # noqa: E501
    done = host.run(f"HOME=/home/prober; {text}", user="prober", check=False)
    assert "find: " in done.stderr and "not allowed" not in done.stderr
    assert "uid=0" not in done.stdout and "root:" not in done.stdout


def test_no_find_shows_the_environment_of_a_process(host: IsolatedHost) -> None:
    """Also one whose tests are gone, since somebody made them the text of a -printf."""
    lines = [line[1:] for line in granted_lines(host.read("/etc/sudoers.d/siteproof")) if line[0].endswith("/find")]
    tried = [words for parts in lines if "-exec" in parts for words in swallowing(parts)]
    assert {parts[0] for parts in tried} == {"/proc", "-L"}
    script = "".join(f"sudo -n find {shlex.join(words)}\n" for words in tried)
    host.run(f"mkdir -p {CERTS}")
    read = "sudo -n grep -azEh -e '^[0-9]+.[(]containerd[)]' -e '^(http|https|no|HTTP|HTTPS|NO)_(proxy|PROXY)=' --"
    host.write("/home/prober/look", f"{script}{read} /proc/$1/stat /proc/$1/environ /proc/$1/stat\n")
    host.run("cat >/root/secret", given="export HER_SECRET=correct-horse https_proxy=http://proxy.example\n")
    done = host.run(
        ". /root/secret; sleep 50 >/dev/null 2>&1 &\nunset HER_SECRET; rm /root/secret\n"
        "setpriv --reuid=prober --regid=prober --init-groups sh /home/prober/look $! 2>&1\nkill $!"
    )
    assert "correct-horse" not in done.stdout
    assert "not allowed" not in done.stdout and "a password is required" not in done.stdout
    assert "https_proxy=http://proxy.example\0" in done.stdout


def test_roots_tools_have_an_environment_of_their_own(host: IsolatedHost) -> None:
    """Also where the site lets everybody keep more: a tool would read the login user's configuration as root."""
    kept = "HOME CURL_HOME DOCKER_CONFIG CONTAINER_RUNTIME_ENDPOINT"
    host.sudoers(f'Defaults env_keep += "{kept}", setenv\nDefaults !always_set_home', "00-site")
    host.write("/home/prober/.curlrc", "output = /etc/owned-by-curl\nurl = file:///etc/hostname\n", owner="prober")
    lines = granted_lines(host.read("/etc/sudoers.d/siteproof"))
    curl = next(line[1:] for line in lines if line[0].endswith("/curl"))
    before = (
        host.read("/usr/sbin/netplan") if host.run("test -e /usr/sbin/netplan", check=False).returncode == 0 else ""
    )
    host.write("/usr/sbin/netplan", "#!/bin/sh\nenv; pwd\n", mode=0o755)
    try:
        own = "cd /home/prober; export LC_ALL=C.UTF-8 HOME=$PWD CURL_HOME=$PWD DOCKER_CONFIG=$PWD\n"
        host.run(f"{own}sudo -n curl {shlex.join(curl)}", user="prober", check=False)
        assert host.run("test -e /etc/owned-by-curl", check=False).returncode == 1
        shown = host.run(f"{own}sudo -n netplan get all", user="prober").stdout.splitlines()
        assert {"HOME=/root", "LC_ALL=C.UTF-8", "/"} <= {*shown} and "prober" not in " ".join(
            line for line in shown if not line.startswith("SUDO_")
        )
        refused = host.run("sudo -n DOCKER_CONFIG=/home/prober netplan get all", user="prober", check=False)
        assert refused.returncode == 1 and "not allowed to set" in refused.stderr
    finally:
        host.run("rm -f /etc/sudoers.d/00-site /home/prober/.curlrc /etc/owned-by-curl")
        host.write("/usr/sbin/netplan", before or "#!/bin/sh\n", mode=0o755)


def test_a_declared_path_with_a_blank_is_refused() -> None:
    (question,) = file_lines("cp1", "/etc/my conf/a file").questions
    assert isinstance(question, Command)
    with pytest.raises(BadInput, match="'/etc/my conf/a file' could be several files"):
        root_commands(question)
