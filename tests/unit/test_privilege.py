"""What runs as root is read from the scripts, and said to sudo word by word."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from siteproof.asks import Command
from siteproof.errors import BadInput
from siteproof.privilege import Grant, fragment, grants, root_commands


def command(script: str, *patterns: str, host: str = "cp1", deadline_s: float = 5) -> Command:
    return Command(host, "a probe", deadline_s, "reads", script, root=True, root_patterns=patterns)


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ("$ROOT nft -j list ruleset", ["nft -j list ruleset"]),
        ("exec $ROOT nmap -oX - 192.0.2.1 2>/dev/null | cat", ["nmap -oX - 192.0.2.1"]),
        ("ids=$($ROOT docker ps -q) || exit\n${ROOT} docker info", ["docker ps -q", "docker info"]),
        ("# $ROOT is given\n$ROOT id -u; $ROOT id -u", ["id -u"]),
        ("$ROOT docker info --format '{{json .Swarm}}' || exit", ["docker info --format {{json .Swarm}}"]),
        ("image='a b' tag=c\n$ROOT pull \"$image\" ${tag}", ["pull a b c"]),
        ('x=\n[ -n "$y" ] && x=one || x=${x:-two}\n$ROOT $x -v', ["one -v", "two -v"]),
        ("for x in one two; do $ROOT cat $x; done", ["cat one", "cat two"]),
        ("curl --max-time 3 x\n$ROOT sleep $DEADLINE", ["sleep 5"]),
        ("$ROOT nft -f \\\n  - <<EOF\nEOF", ["nft -f -"]),
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
        ("$ROOT sh -s <<EOF\nEOF", "may do anything"),
        ("$ROOT env id", "may do anything"),
    ],
)
def test_what_only_the_host_knows_is_refused(script: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        root_commands(command(script))
    assert says in str(refused.value)


def test_a_pattern_has_to_be_declared_and_to_match() -> None:
    script = "$ROOT docker network inspect $ids"
    assert root_commands(command(script, "docker network inspect *")) == [("docker", "network", "inspect", "*")]
    with pytest.raises(BadInput):
        root_commands(command(script, "docker volume inspect *"))


def test_all_that_is_refused_is_said_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        grants([command("$ROOT a $1"), command("$ROOT b"), command("$ROOT c $1", host="cp2")])
    assert "`a $1`" in str(refused.value)
    assert "`c $1`" in str(refused.value)


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
    assert "kai out.example = (root) TIMEOUT=31 NOPASSWD: \\\n    /usr/sbin/nmap -p 1\\,2 -oX - a, \\\n" in text
    assert text.count("Defaults:kai") == 1


@pytest.mark.parametrize("word", ["a,b", "a:b=c", "back\\slash", "*x", "a?[b]", "{{json .Swarm}}", "#1", "!"])
def test_words_mean_themselves_to_sudo(word: str) -> None:
    line = next(Grant(("tool", word), 5).lines())
    for special in ",:=\\*?[]!#":
        assert line.count(f"\\{special}") >= word.count(special)


@pytest.mark.skipif(shutil.which("visudo") is None, reason="there is no visudo here; the lab's has the last word")
def test_visudo_takes_it(tmp_path: Path) -> None:
    granted = grants([command("$ROOT nft -j list ruleset; $ROOT docker info --format '{{json .Swarm}}'; $ROOT id")])
    (tmp_path / "sudoers").write_text(fragment(granted, {"cp1": "kai"}, {"cp1": "cp1"}))
    subprocess.run(["visudo", "-cf", tmp_path / "sudoers"], check=True)
