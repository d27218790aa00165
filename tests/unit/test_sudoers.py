"""What runs as root is read from the scripts, and said to sudo word by word."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siteproof.asks import Command
from siteproof.errors import BadInput
from siteproof.previews.sudoers import Grant, fragment, grants, root_commands

PROJECT = Path(__file__).parents[2]


def command(script: str, *, host: str = "cp1", deadline_s: float = 5, **patterns: str) -> Command:
    return Command(host, "a probe", deadline_s, "reads", script, root=True, root_patterns=tuple(patterns.items()))


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ("$ROOT nft -j list ruleset", ["nft -j list ruleset"]),
        ("exec $ROOT nmap -oX - 192.0.2.1 2>/dev/null | cat", ["nmap -oX - 192.0.2.1"]),
        ("ids=$($ROOT docker ps -q) || exit\n${ROOT} docker info", ["docker ps -q", "docker info"]),
        ("# $ROOT is given\n$ROOT id -u; $ROOT id -u", ["id -u"]),
        ("$ROOT docker info --format '{{json .Swarm}}' || exit", ["docker info --format {{json .Swarm}}"]),
        ("image='a b' tag=c\n$ROOT docker inspect \"$image\" ${tag}", ["docker inspect a b c"]),
        ('x=\n[ -n "$y" ] && x=one || x=${x:-two}\n$ROOT docker info $x', ["docker info one", "docker info two"]),
        ("for x in /one /two; do $ROOT cat $x; done", ["cat /one", "cat /two"]),
        ("curl --max-time 3 x\n$ROOT docker info $DEADLINE", ["docker info 5"]),
        ("$ROOT nft list \\\n  tables <<EOF\nEOF", ["nft list tables"]),
        ("for x in /one \\\n  /two; do $ROOT cat $x; done", ["cat /one", "cat /two"]),
        (
            "$ROOT find /a -maxdepth 1 -name '*.crt' -print , -type d",
            ["find /a -maxdepth 1 -name \\*.crt -print , -type d"],
        ),
        ("n=7\n$ROOT nsenter --net=/proc/$n/ns/net xargs ping --", ["nsenter --net=/proc/7/ns/net xargs ping --"]),
        ("need docker\nimage='a b'\nset -- 'one two' -x\n$ROOT docker info \"$@\"", ["docker info one two -x"]),
        ("# it will read x\nx=/one\n$ROOT cat $x", ["cat /one"]),
        ("echo nothing", []),
    ],
)
def test_a_script_says_what_it_runs_as_root(script: str, runs: list[str]) -> None:
    assert [" ".join(words) for words in root_commands(command(script))] == runs


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("$ROOT cat $(ls)", "`cat $`"),
        ("x=$(date)\n$ROOT kill $x", "`kill $x`"),
        ('$ROOT docker inspect "$1"', "only the host knows"),
        ("x=one; x=$(date); $ROOT cat $x", "only the host knows"),
        ("$ROOT crictl pull '‹crictl images›'", "only the host knows"),
        ("x=one; read -r x; $ROOT cat $x", "only the host knows"),
        ("x=\n$ROOT cat $x", "only the host knows"),
        ("$ROOT sh -s <<EOF\nEOF", "not among the tools"),
        ('need docker\nset -- "$(date)"\n$ROOT docker info "$@"', "only the host knows"),
        ('set -- one\nshift\nset -- $(date)\n$ROOT docker info "$@"', "only the host knows"),
    ],
)
def test_what_only_the_host_knows_is_refused(script: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        root_commands(command(script))
    assert says in str(refused.value)


def test_what_a_variable_may_hold_is_declared() -> None:
    script = "id=$($ROOT docker ps)\n$ROOT docker inspect --x=$id.y"
    granted = root_commands(command(script, id="[0-9a-f]"))
    assert granted == [("docker", "ps"), ("docker", "inspect", "--x=[0-9a-f].y")]
    with pytest.raises(BadInput):
        root_commands(command(script, ids="[0-9a-f]"))


def test_what_the_script_says_itself_is_more_exact() -> None:
    assert root_commands(command("n=1\n$ROOT docker ps $n", n="*")) == [("docker", "ps", "1")]


def test_no_star_for_what_runs_other_programs() -> None:
    script = "$ROOT nsenter --net=/proc/$pid/ns/net ping a"
    assert root_commands(command(script, pid="[1-9]")) == [("nsenter", "--net=/proc/[1-9]/ns/net", "ping", "a")]
    with pytest.raises(BadInput):
        root_commands(command(script, pid="*"))


def test_all_that_is_refused_is_said_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        grants([command("$ROOT cat $1"), command("$ROOT id -u"), command("$ROOT ls $1", host="cp2")])
    assert "`cat $1`" in str(refused.value)
    assert "`ls $1`" in str(refused.value)


def test_each_host_allows_its_own_user_its_own_commands() -> None:
    granted = grants(
        [
            command("$ROOT nft -j list ruleset", host="edge"),
            command("$ROOT nmap -p 1,2 -oX - a", host="out", deadline_s=30),
            command("$ROOT nmap -p 1,2 -oX - a", host="out", deadline_s=10),
        ]
    )
    assert granted["out"] == [Grant(("id", "-u"), 6), Grant(("nmap", "-p", "1,2", "-oX", "-", "a"), 31)]
    text = fragment(granted, {"edge": "root", "out": "kai"}, {"edge": "edge", "out": "out.example"})
    assert "edge" not in text
    assert "kai out.example = (root) CWD=/ TIMEOUT=31 NOPASSWD: \\\n    /usr/sbin/nmap -p 1\\,2 -oX - a, \\\n" in text
    assert text.count("Defaults:kai") == 1


NO_NAMES = [
    *(
        "",
        "ALL",
        "ADMINS",
        "a b",
        "a,b",
        "!a",
        "%a",
        "+a",
        "#0",
        "a#",
        "a:b",
        "a=b",
        '"a"',
        "a\\",
        "*",
        "a\tb",
        "a\n",
        "\n",
    ),
    *("web = (root) NOPASSWD: ALL\nkai ALL", "kai, ALL", "é", "Defaults", "Host_Alias", "-a"),
]
"""To sudoers more than one name, another thing, or nothing."""


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_not_one_name_does_not_come_into_the_fragment(name: str) -> None:
    granted = grants([command("$ROOT nft -j list ruleset")])
    with pytest.raises(BadInput, match="the host name of cp1, .* is not a name"):
        fragment(granted, {"cp1": "kai"}, {"cp1": name})
    with pytest.raises(BadInput, match="the login user of cp1, .* is not a name"):
        fragment(granted, {"cp1": name}, {"cp1": "cp1"})


@pytest.mark.parametrize(
    ("user", "hostname"), [("kai", "web"), ("k.a-i_1", "web-1.example.org"), ("_kai$", "10.0.0.1"), ("Kai", "Web_1")]
)
def test_names_as_hosts_have_them_are_taken(user: str, hostname: str) -> None:
    text = fragment(grants([command("$ROOT nft -j list ruleset")]), {"cp1": user}, {"cp1": hostname})
    assert f"\n{user} {hostname} = (root) CWD=/ TIMEOUT=" in text


def test_the_inventorys_name_of_a_host_stays_in_its_comment() -> None:
    host = "cp1\nkai ALL = (root) NOPASSWD: ALL"
    text = fragment(grants([command("$ROOT nft -j list ruleset", host=host)]), {host: "kai"}, {host: "cp1"})
    assert "\nkai ALL" not in text


@pytest.mark.parametrize("what", ["siteproof_hostname", "ansible_user"])
def test_an_inventory_that_has_no_name_there_ends_the_run_and_nothing_is_written(what: str, tmp_path: Path) -> None:
    everyone = tmp_path / "inventory"
    shutil.copytree(PROJECT / "inventories/example", everyone)
    hosts = everyone / "hosts.yml"
    others = "" if what == "ansible_user" else "    ansible_user: kai\n"
    told = f"{others}    {what}: 'web = (root) NOPASSWD: ALL'\n"
    hosts.write_text(hosts.read_text().replace("    ansible_user: siteproof\n", told))
    file = tmp_path / "sudoers"
    line = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:hypothesispytest",
        f"--hosts={everyone}",
        f"--sudoers={file}",
    ]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, file.exists()) == (4, False), done.stdout
    assert "is not a name that sudoers takes for one" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("a,b:c=d#1", r"a\,b\:c\=d\#1"),
        (r"'back\slash'", r"back\\\\slash"),
        ("'*x?[b]!'", r"\*x\?\[b\]\!"),
        ("'{{json .Swarm}}'", "{{json .Swarm}}"),
        ("'\"'", '"'),
        (r"'\n%p'", r"\\\\n%p"),
        ("x$glob", "x[0-9]"),
    ],
)
def test_words_mean_themselves_to_sudo(word: str, written: str) -> None:
    (words,) = root_commands(command(f"$ROOT docker info {word}", glob="[0-9]"))
    assert next(Grant(words, 5).lines()) == f"/usr/sbin/docker info {written}"


def test_a_tool_with_its_path_is_nowhere_else() -> None:
    assert list(Grant(("/opt/x=1/tool", "a"), 5).lines()) == [r"/opt/x\=1/tool a"]


def test_a_file_of_which_only_the_host_can_tell_is_named() -> None:
    granted = grants([command("$ROOT cat /srv/stack/x; $ROOT cat /etc/passwd"), command("$ROOT id -u", host="cp2")])
    text = fragment(granted, dict.fromkeys(granted, "kai"), {host: host for host in granted})
    assert text.count("# Only if root alone can change these and all above them: '/srv/stack/x'\n") == 1
    assert text.count("# Only if") == 1


@pytest.mark.parametrize("changes", [(), ("--changes",)], ids=["default", "changes"])
@pytest.mark.parametrize("inventory", ["lab", "example"])
def test_every_check_of_the_suite_can_be_said_exactly(inventory: str, changes: tuple[str, ...], tmp_path: Path) -> None:
    """No lab is up for this."""
    everyone = tmp_path / "inventory"
    shutil.copytree(PROJECT / "inventories" / inventory, everyone)
    hosts = everyone / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("ansible_user: root", "ansible_user: siteproof"))
    (tmp_path / "run/none/ssh").mkdir(parents=True)
    (tmp_path / "run/none/ssh/config").touch()
    environment = {**os.environ, "SITEPROOF_LAB_HOME": str(tmp_path), "SITEPROOF_LAB": "none"}
    file = tmp_path / "sudoers"
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest"]
    line += [f"--hosts={everyone}", f"--sudoers={file}", *changes]
    done = subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    stars = {line.strip(", \\") for line in file.read_text().splitlines() if " *" in line}
    allowed = {r"-H unix\:///var/run/docker.sock network inspect *"}
    assert {line.partition("/docker ")[2] for line in stars} <= allowed


@pytest.mark.skipif(shutil.which("visudo") is None, reason="there is no visudo here; the lab's has the last word")
def test_visudo_takes_it(tmp_path: Path) -> None:
    granted = grants([command("$ROOT nft -j list ruleset; $ROOT docker info --format '{{json .Swarm}}'")])
    (tmp_path / "sudoers").write_text(fragment(granted, {"cp1": "kai"}, {"cp1": "cp1"}))
    subprocess.run(["visudo", "-cf", tmp_path / "sudoers"], check=True)
