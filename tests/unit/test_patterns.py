"""Host patterns select what ansible-core's own InventoryManager selects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from siteproof.errors import BadInput
from siteproof.inventory.inventory import Inventory, load

HOSTS = """\
all:
  hosts: {edge: , dns: , "fd00::5": , lan1.home.example: }
  children:
    nodes:
      children:
        k3s: {hosts: {cp1: , worker1: , worker2: }}
        swarm_managers: {hosts: {swarm1: }}
    k3s_edge: {hosts: {edge: , worker2: }}
    lan: {hosts: {lan1.home.example: }}
    nobody: {}
    web: {hosts: {"web[01:12]": }}
"""

# fmt: off
PATTERNS = [
    "all", "*", "all:!nodes", "!nodes", "&k3s", "!cp1", "edge", "cp1,edge", "edge,cp1", "edge:cp1", "k3s", "k3s:!cp1",
    "!cp1:k3s", "k3s:&k3s_edge", "k3s:&k3s_edge:!worker2", "nodes:!k3s:!swarm1", "k3s*", "k3s*:!k3s", "*1", "w?rker*",
    "worker[!1]", "lan*", "lan1.*", "*.home.example", "lan1.home.example", "~worker\\d", "~(edge|dns)$", "~k3s",
    "k3s[0]", "k3s[-1]", "k3s[1:2]", "k3s[1:]", "k3s[0:0]", "k3s[5:9]", "web[0:3]", "web[2]", "nodes[0]", "nodes[-1]",
    "k3s[0],lan", "nobody", "nobody[0]", "ungrouped", "ungr*", "all[0]", "all:&nobody", "k3s:!k3s", "fd00::5",
    "k3s,&k3s_edge", "web0*", "web*[3]", "cp1,cp1,k3s", "k3s*[0:3]", "nodes:k3s_edge", "web:!web[0]", "!k3s:!web",
    "k3s[2:0]", "k3s[0-1]", "k3s[1-]",
]
# fmt: on

ORACLE = """\
import json, sys
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
manager = InventoryManager(loader=DataLoader(), sources=[sys.argv[1]])
print(json.dumps({p: [h.name for h in manager.get_hosts(p)] for p in json.loads(sys.argv[2])}))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("patterns") / "hosts.yml"
    path.write_text(HOSTS)
    return path


@pytest.fixture(scope="module")
def inventory(source: Path) -> Inventory:
    return load(source, limit=None, rootpath=source.parent)


@pytest.fixture(scope="module")
def ansible(source: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", ORACLE, str(source), json.dumps(PATTERNS)],
        env={**os.environ, "ANSIBLE_LOCAL_TEMP": str(source.parent / ".ansible"), "PYTHONHASHSEED": "0"},
        check=True,
        capture_output=True,
        text=True,
    )
    answers: dict[str, list[str]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_selects_what_ansible_selects(
    inventory: Inventory, ansible: dict[str, list[str]], pattern: str
) -> None:
    assert list(inventory.match(pattern)) == ansible[pattern]


def test_terms_that_exclude_each_other_select_nobody(inventory: Inventory) -> None:
    assert inventory.match("k3s:!k3s") == ()


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("k4s", "no host or group is called k4s; did you mean `k3s`?"),
        ("k3s:!pc1", "no host or group is called pc1; did you mean `cp1`?"),
        ("k3s:&swarm-managers", "no host or group is called swarm-managers; did you mean `swarm_managers`?"),
        ("localhost", "no host or group is called localhost"),
        ("x*", "no host or group is called x*"),
        ("cp1:22", "no host or group is called cp1:22"),
        ("k3s[7]", "k3s has only 3 hosts"),
        ("worker[12]", "no host or group is called worker"),  # a subscript, for Ansible as well, not a glob
        ("", "is empty"),
        (" , ", "is empty"),
        ("k3s:!", "has an empty term"),
        ("~(", "is not a regular expression"),
    ],
)
def test_a_pattern_that_names_nothing_is_refused(inventory: Inventory, pattern: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        inventory.match(pattern)
    assert str(refused.value).startswith(f"the host pattern {pattern!r}")
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("k4s", "--limit=k4s: no host or group is called k4s; did you mean `k3s`?"),
        ("k3s:!pc1", "--limit=k3s:!pc1: no host or group is called pc1; did you mean `cp1`?"),
        ("k3s:!k3s", "--limit=k3s:!k3s leaves no host"),
        ("k3s[7]", "--limit=k3s[7]: No hosts matched the subscripted pattern 'k3s[7]'"),
        ("@nofile", "--limit=@nofile: Unable to find limit file"),
    ],
)
def test_a_limit_that_names_nothing_is_refused(source: Path, limit: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(source, limit=limit, rootpath=source.parent)
    assert str(refused.value).startswith(sentence)
