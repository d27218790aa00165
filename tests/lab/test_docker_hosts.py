"""Hosts that are containers of a real dockerd, the lab's: right answers, and every failure by its right name.

`docker` on the operator's PATH is the lab host's own, entered into its namespaces.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asking import Row, gathered
from lab_command import lab_ok, needs_root, own_lab

from lab import enter
from lab import state as states
from siteproof.asks import MISSING, Command, Output, Stream
from siteproof.errors import ProbeError
from siteproof.evidence.store import HostRecord, Store
from siteproof.gather import LocalGatherer
from siteproof.plugin import host_fixture
from siteproof.transport.connection import Connection

pytestmark = [pytest.mark.lab, needs_root]

NODE = "swarm1"
IMAGES = r"""set -eu
useradd -M -u 1501 asks && echo asks:correct-horse | chpasswd && echo 'asks ALL=(ALL) ALL' >/etc/sudoers.d/asks
d=$(mktemp -d) && cd "$d" && mkdir -p busy/bin busy/tmp debian/usr debian/tmp bare
for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "busy/bin/$applet"; done
cp /bin/busybox busy/bin && cp /bin/busybox bare/sleep
for link in bin sbin lib lib64; do ln -s "usr/$link" "debian/$link"; done
tar -C / -c etc/passwd etc/group etc/shadow etc/sudoers etc/sudoers.d etc/pam.d etc/security etc/login.defs \
    etc/ld.so.cache etc/nsswitch.conf etc/alternatives | tar -C debian -x
for image in busy debian bare; do tar -C $image -c . | docker import - "siteproof/$image" >/dev/null; done
rm -r "$d"
"""
"""busybox alone; Debian, with the node's own files; an image without a shell."""
RUNS = {
    "busy": ("siteproof/busy", "sleep", "1000"),
    "debian": ("-v", "/usr:/usr:ro", "--hostname", "shop", "siteproof/debian", "sleep", "1000"),
    "bare": ("siteproof/bare", "/sleep", "1000"),
    "stopped": ("siteproof/busy", "true"),
}


@dataclass(frozen=True)
class Site:
    """A lab with containers, and an operator who has its docker."""

    name: str

    def docker(self, *words: str) -> str:
        return lab_ok(self.name, "exec", NODE, "--", "docker", *words)

    def on_node(self, script: str) -> str:
        return lab_ok(self.name, "exec", NODE, "--", "sh", "-c", script)

    def run(self, container: str) -> None:
        self.docker("run", "-d", "--network=none", f"--name={container}", *RUNS[container])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with own_lab("containers") as name:
        lab_ok(name, "up")
        state = states.running(name)
        assert state is not None
        tools = tmp_path_factory.mktemp("tools")
        (tools / "docker").write_text(f'#!/bin/sh\nexec {shlex.join(enter.argv(state, NODE, ["docker"]))} "$@"\n')
        (tools / "docker").chmod(0o755)
        found = Site(name)
        found.on_node(IMAGES)
        for container in RUNS:
            found.run(container)
        before = os.environ["PATH"]
        os.environ["PATH"] = f"{tools}:{before}"
        yield found
        os.environ["PATH"] = before


def connection(name: str, **variables: Any) -> Connection:
    return Connection.from_variables(name, {"ansible_connection": "docker", "ansible_host": name, **variables})


Found = list[Output | ProbeError | None]


def ask(at: Connection, questions: Sequence[Command | Stream], directory: Path) -> tuple[Found, HostRecord]:
    store = Store(directory / "evidence")
    return gathered(at, questions, store), store.host_records()[at.name]


QUESTIONS = [
    Row("both streams", "echo out; echo err >&2; exit 3", b"out\n", b"err\n", 3),
    Row("status 255", "exit 255", status=255),
    Row("not UTF-8", r"printf '\377\376'", b"\xff\xfe"),
    Row("3 MB", "head -c 3000000 /dev/zero", bytes(3_000_000)),
    Row("reads stdin", "cat; echo end", b"end\n"),
    Row("kills its own shell", "echo so far; kill -9 $$", b"so far\n", status=137),
    Row("tool missing", "need nosuchtool", b"", f"{MISSING}nosuchtool\n".encode(), 127),
    Row("root", "$ROOT id -u", b"0\n"),
    Row("its first process", "cat /proc/1/comm", b"sleep\n"),
    Row("hangs", "sleep 60", error="TimedOut", says="not finished within 1 s", within_s=8.0),
    Row("hangs, ignores TERM", "trap '' TERM; while :; do sleep 1; done", error="TimedOut", within_s=8.0),
    Row("50 MB", "head -c 50000000 /dev/zero", error="TooLarge", says="more output"),
    Row("5 MB of stderr", "head -c 5000000 /dev/zero >&2", error="TooLarge", says="more output"),
    Row("never stops writing", "cat /dev/zero", error="TooLarge", says="more output"),
    Row("kills the shell", 'read -r _ _ _ s _ </proc/$PPID/stat; [ $s = 0 ] && s=$PPID; kill -9 $s; sleep 1',
        error="Truncated", says="before its end marker", within_s=8.0),
]  # fmt: skip


@pytest.fixture(scope="module", params=["busy", "debian"])
def answers(site: Site, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every question of the table, each after one that must be answered, in one round."""
    asked = {row.name: Command(request.param, row.name, 1.0, "reads", row.script) for row in QUESTIONS}
    after = {row.name: Command(request.param, "after", 1.0, "reads", f"echo after {row.name}") for row in QUESTIONS}
    both = [command for row in QUESTIONS for command in (asked[row.name], after[row.name])]
    found, record = ask(connection(request.param), both, tmp_path_factory.mktemp("run"))
    assert record.reached
    assert record.identity["machine_id"] == ""
    processes = site.docker("exec", request.param, "/bin/sh", "-c", "for p in /proc/[0-9]*; do cat $p/comm; done")
    return {"found": dict(zip(both, found, strict=True)), "asked": asked, "after": after, "left": processes.split()}


@pytest.mark.parametrize("row", QUESTIONS, ids=lambda row: row.name)
def test_a_question_to_a_container(answers: dict[str, Any], row: Row) -> None:
    found = answers["found"][answers["asked"][row.name]]
    row.is_what_came(found)
    after = answers["found"][answers["after"][row.name]]
    assert isinstance(after, Output), after
    assert (after.status, after.stdout) == (0, f"after {row.name}\n".encode())


def test_nothing_is_left_running_there(site: Site, answers: dict[str, Any]) -> None:
    end = time.monotonic() + 5
    container = next(iter(answers["asked"].values())).host
    while (left := alive(site, container)) != ["sleep"] and time.monotonic() < end:
        time.sleep(0.2)
    assert left == ["sleep"]
    # busybox's timeout would leave one for each command; what was killed leaves one, since nobody there reaps it.
    failed = [row for row in QUESTIONS if row.error]
    assert answers["left"].count("timeout") <= len(failed)


def alive(site: Site, container: str) -> list[str]:
    """The processes of a container but for zombies, which its first process does not reap."""
    said = site.docker("top", container, "-o", "pid,stat,comm").splitlines()[1:]
    return [words[2] for words in map(str.split, said) if not words[1].startswith("Z")]


@dataclass(frozen=True)
class Gone:
    """A container that cannot be asked, or not any more."""

    name: str
    error: str
    says: str
    container: str
    breaks: str = ""
    """What is done on the node while the first question is asked; before all questions where `meanwhile` is false."""
    heals: str = ""
    meanwhile: bool = False


GONE = [
    Gone("stopped", "Unreachable", "is not running", "stopped"),
    Gone("never was", "Unreachable", "No such container: nobody", "nobody"),
    Gone("no shell in it", "Unreachable", "no such file or directory", "bare"),
    Gone("paused", "Unreachable", "is paused", "busy", "docker pause busy", "docker unpause busy"),
    Gone("killed meanwhile", "Unreachable", "is not running", "busy", "docker kill busy", "docker start busy", True),
    Gone("removed meanwhile", "Unreachable", "Error response|No such", "busy", "docker rm -f busy", "AGAIN", True),
    Gone(
        "dockerd hangs", "Unreachable", "no shell has started within 2 s", "debian",
        "kill -s STOP $(pidof dockerd)", "kill -s CONT $(pidof dockerd)",
    ),
    Gone(
        "dockerd stopped meanwhile", "Unreachable", "Is the docker daemon running?", "debian",
        "systemctl stop docker.socket docker", "systemctl start docker && docker start debian busy", True,
    ),
    Gone(
        "dockerd is down", "Unreachable", "Is the docker daemon running?", "debian",
        "systemctl stop docker.socket docker", "systemctl start docker && docker start debian busy",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", GONE, ids=lambda row: row.name)
def test_a_container_that_cannot_be_asked(
    site: Site, row: Gone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("session", "backends.backend_session"):
        monkeypatch.setattr(f"siteproof.transport.{module}.START_S", 2.0)
    asked = [Command(row.container, f"question {n}", 30, "reads", script) for n, script in enumerate(
        ["echo one", "touch /tmp/asked; sleep 20" if row.meanwhile else "echo two", "echo three"]
    )]  # fmt: skip
    breaking = threading.Thread(target=break_meanwhile, args=(site, row)) if row.meanwhile else None
    if breaking is not None:
        breaking.start()
    elif row.breaks:
        site.on_node(row.breaks)
    begun = time.monotonic()
    try:
        found, record = ask(connection(row.container), asked, tmp_path)
        seconds = time.monotonic() - begun
    finally:
        if breaking is not None:
            breaking.join()
        if row.heals == "AGAIN":
            site.run(row.container)
        elif row.heals:
            site.on_node(row.heals)
    if row.meanwhile:
        assert isinstance(found[0], Output), found[0]
        assert isinstance(found[1], ProbeError)
        assert found[1].kind == "Truncated"
        assert record.reached
    else:
        assert not record.reached
    last = found[2]
    assert isinstance(last, ProbeError), last
    assert last.kind == row.error
    assert re.search(row.says, last.message)
    assert f"docker://{row.container}" in last.message
    assert seconds < 20
    assert record.error is not None


def break_meanwhile(site: Site, row: Gone) -> None:
    site.on_node(
        f"until docker exec {row.container} /bin/sh -c 'rm /tmp/asked' 2>/dev/null; do sleep 0.2; done; {row.breaks}"
    )


@pytest.mark.parametrize(
    ("variables", "root", "said"),
    [
        ({"ansible_user": "siteproof"}, True, b"0\n"),
        ({"ansible_user": "asks"}, True, "sudo: a password is required"),
        ({"ansible_user": "asks", "ansible_become_password": "correct-horse"}, True, b"0\n"),
        ({"ansible_user": "asks", "ansible_become_password": "wrong"}, True, "PrivilegeRefused"),
        ({"ansible_user": "siteproof", "ansible_become": False}, True, "ansible_become is false"),
        ({"ansible_user": "siteproof"}, False, b"1500\n"),
        ({"ansible_user": "nobody-here"}, False, "Unreachable"),
    ],
)
def test_root_is_sudo_as_the_inventory_says(
    site: Site, variables: dict[str, Any], root: bool, said: bytes | str, tmp_path: Path
) -> None:
    question = Command("debian", "who", 5, "reads", "$ROOT id -u" if root else "id -u", root=root)
    ((found,), record) = ask(connection("debian", **variables), [question], tmp_path)
    assert record.login_user == variables["ansible_user"]
    if isinstance(said, bytes):
        assert isinstance(found, Output), found
        assert found.stdout == said
    elif isinstance(found, Output):
        assert said in found.errors
    else:
        assert isinstance(found, ProbeError)
        assert said == found.kind


def test_another_container_is_the_wrong_host(site: Site, tmp_path: Path) -> None:
    question = Command("debian", "a question", 5, "reads", "echo never")
    ((found,), _) = ask(connection("debian", siteproof_hostname="shop"), [question], tmp_path / "right")
    assert isinstance(found, Output)
    ((found,), _) = ask(connection("debian", siteproof_hostname="web"), [question], tmp_path / "wrong")
    assert isinstance(found, ProbeError)
    assert (found.kind, "its hostname is shop, declared is web" in str(found)) == ("WrongHost", True)


def test_no_stream_leaves_from_a_container(site: Site, tmp_path: Path) -> None:
    question = Stream("debian", "a page", 2, "sends", address="10.0.20.203", port=80, protocol="http")
    ((found,), _) = ask(connection("debian"), [question], tmp_path)
    assert isinstance(found, ProbeError)
    assert "no stream through docker://debian" in str(found)


def test_the_host_fixture_is_of_the_container(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_fixture, "LIVE_DEADLINE_S", 1.0)
    store = Store(tmp_path / "evidence")
    hosts = {name: connection(name) for name in ("debian", "stopped")}
    with closing(LocalGatherer(hosts, store, "abcdef012345", byte_cap=1 << 20)) as gatherer:
        host = host_fixture.live_host("debian", gatherer, store, listen=lambda question: None)
        assert host.file("/etc/passwd").is_file
        assert host.user("siteproof").uid == 1500
        assert not host.file("/no/such").exists
        assert host.run("exit 255").rc == 255
        for command, error in (("sleep 20", "TimedOut"), ("cat /dev/zero", "TooLarge"), ("nosuch", "ToolMissing")):
            with pytest.raises(ProbeError) as raised:
                host.run(command)
            assert raised.value.kind == error
        with pytest.raises(ProbeError) as raised:
            stopped = host_fixture.live_host("stopped", gatherer, store, listen=lambda question: None)
            assert stopped.file("/etc/passwd").exists
        assert raised.value.kind == "Unreachable"
