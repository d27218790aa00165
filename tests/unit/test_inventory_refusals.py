"""What Ansible would only warn about, or let pass, is one sentence that names file, line and key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from siteproof.errors import BadInput
from siteproof.inventory.inventory import load

ONE = "all: {hosts: {a: }}\n"

# name: (files of the inventory `inv`, what the sentence begins with, what else it says)
REFUSED: Mapping[str, tuple[Mapping[str, str], str, str]] = {
    "yaml syntax in the source": (
        {"hosts.yml": "all:\n  hosts:\n    a: {ansible_host: 10.0.20.1\n    b:\n"},
        "inv/hosts.yml:4: YAML parsing failed",
        "",
    ),
    "yaml syntax in group_vars": (
        {"hosts.yml": ONE, "group_vars/all.yml": "x: 1\n y: [2\n"},
        "inv/group_vars/all.yml:2: YAML parsing failed",
        "",
    ),
    "yaml syntax in host_vars": (
        {"hosts.yml": ONE, "host_vars/a.yml": "x: 1\ny: 'open\n"},
        "inv/host_vars/a.yml:3: YAML parsing failed",
        "",
    ),
    "group_vars that are a list": (
        {"hosts.yml": ONE, "group_vars/all.yml": "- x: 1\n"},
        "inv/group_vars/all.yml: variables are given as a mapping, not as a list",
        "",
    ),
    "a key given twice": (
        {"hosts.yml": ONE, "group_vars/all.yml": "siteproof_link: {mtu: 1}\nx: 1\nsiteproof_link: {mtu: 2}\n"},
        "inv/group_vars/all.yml:3: siteproof_link is given twice",
        "",
    ),
    "a key that is no part of a group": (
        {"hosts.yml": "all:\n  children:\n    k3s:\n      hsots: {a: }\n"},
        "inv/hosts.yml:4: all.children.k3s.hsots: ",
        "hsots is not known in the group k3s, which can have vars, children and hosts",
    ),
    "hosts as a list": (
        {"hosts.yml": "all:\n  children:\n    k3s:\n      hosts: [a, b]\n"},
        "inv/hosts.yml:",
        'Invalid "hosts" entry for "k3s" group, requires a dictionary, found "list"',
    ),
    "a group that is a string": (
        {"hosts.yml": "all:\n  children:\n    k3s: cp1\n"},
        "inv/hosts.yml:3: all.children.k3s: k3s is not a group",
        "",
    ),
    "variables instead of groups": (
        {"hosts.yml": "ansible_user: root\n"},
        "inv/hosts.yml:1: ansible_user is not a group",
        "",
    ),
    "a group and a host of one name": (
        {"hosts.yml": "all:\n  hosts: {a: }\n  children:\n    a: {hosts: {b: }}\n"},
        "inv/hosts.yml:2: all.hosts.a: a is the name of a group and of a host",
        "",
    ),
    "groups in a circle": (
        {"hosts.yml": "all:\n  children:\n    x: {children: {y: }}\n    y: {children: {x: }}\n"},
        "inv/hosts.yml:3: ",
        "creates a recursive dependency loop",
    ),
    "ini: children that are no group": (
        {"hosts.ini": "[g]\na x=1\n[all:children]\nnope\n"},
        "inv/hosts.ini:",
        "includes undefined group 'nope'",
    ),
    "ini: a section of no kind": ({"hosts.ini": "[g]\na\n[g:wars]\n"}, "inv/hosts.ini:3: ", "unknown type: wars"),
    "ini: something behind a host": ({"hosts.ini": "[g]\na\nb mtu 1400\n"}, "inv/hosts.ini:3: ", "got: mtu"),
    "a plugin nobody has": ({"hosts.yml": "plugin: no.such.plugin\n"}, "inv/hosts.yml:1: ", "no.such.plugin"),
    "a plugin's own error": (
        {"hosts.yml": ONE, "x.yml": "plugin: ansible.builtin.constructed\nstrict: true\nkeyed_groups: [{key: nope}]\n"},
        "inv/x.yml:",
        "nope",
    ),
    "an empty folder": ({"readme.md": "nothing\n"}, "inv: there is no inventory in it that Ansible can read", ""),
    "no hosts": ({"hosts.yml": "all: {children: {k3s: {hosts: {}}}}\n"}, "inv: the inventory has no hosts", ""),
    "an undefined variable": (
        {"hosts.yml": ONE, "group_vars/all.yml": 'siteproof_dns:\n  names:\n    - name: "{{ nosuch }}"\n'},
        "inv/group_vars/all.yml:3: siteproof_dns.names[0].name: 'nosuch' is undefined",
        "",
    ),
    "an undefined variable behind another": (
        {"hosts.yml": ONE, "group_vars/all.yml": 'siteproof_x: "{{ y }}"\ny: "{{ nosuch }}"\n'},
        "inv/group_vars/all.yml:2: siteproof_x: 'nosuch' is undefined",
        "",
    ),
    "an undefined variable in a connection variable": (
        {"hosts.yml": 'all:\n  hosts:\n    a:\n      ansible_host: "{{ nosuch }}"\n'},
        "inv/hosts.yml:4: ansible_host: 'nosuch' is undefined",
        "",
    ),
    "a template that does not end": (
        {"hosts.yml": ONE, "group_vars/all.yml": 'siteproof_x: "{{ y "\n'},
        "inv/group_vars/all.yml:1: siteproof_x: Syntax error in template",
        "",
    ),
    "a template that eats its tail": (
        {"hosts.yml": ONE, "group_vars/all.yml": 'siteproof_x: "{{ siteproof_x }}"\n'},
        "inv/group_vars/all.yml:1: siteproof_x: Recursive loop detected in template",
        "",
    ),
    "a filter nobody has": (
        {"hosts.yml": ONE, "group_vars/all.yml": "siteproof_x: \"{{ 'a' | nosuch }}\"\n"},
        "inv/group_vars/all.yml:1: siteproof_x: ",
        "nosuch",
    ),
    "a lookup that fails": (
        {"hosts.yml": ONE, "group_vars/all.yml": "siteproof_x: \"{{ lookup('file', '/no/such') }}\"\n"},
        "inv/group_vars/all.yml:1: siteproof_x: ",
        "/no/such",
    ),
    "a lookup in the network": (
        {"hosts.yml": ONE, "group_vars/all.yml": "siteproof_x: \"{{ lookup('url', 'http://127.0.0.1:9/') }}\"\n"},
        "inv/group_vars/all.yml:1: siteproof_x: ",
        "an inventory is read without the network",
    ),
    "a key that YAML takes for a truth": (
        {"hosts.yml": ONE, "group_vars/all.yml": "siteproof_x:\n  names: {on: 1}\n"},
        "inv/group_vars/all.yml:2: siteproof_x.names has the key True, which is not a string; put it in quotes",
        "",
    ),
    "a number that is none": (
        {"hosts.yml": ONE, "group_vars/all.yml": "siteproof_x: [.nan]\n"},
        "inv/group_vars/all.yml:1: siteproof_x[0] is nan, which is not a number",
        "",
    ),
    "something that is not JSON": (
        {"hosts.yml": ONE, "group_vars/all.yml": "siteproof_x: !!binary aGFsbG8=\n"},
        "inv/group_vars/all.yml:1: siteproof_x is of the kind bytes",
        "",
    ),
    "nearly a fact": (
        {"hosts.yml": ONE, "group_vars/all.yml": "x: 1\nsiteprof_dns: {}\n"},
        "inv/group_vars/all.yml:2: siteprof_dns is nearly a siteproof_* fact",
        "",
    ),
    "nearly a fact, by its hyphen": (
        {"hosts.yml": "all:\n  hosts: {a: }\n  vars:\n    site-proof-dns: {}\n"},
        "inv/hosts.yml:4: site-proof-dns is nearly a siteproof_* fact",
        "",
    ),
    "an undecryptable value": (
        {"hosts.yml": ONE, "group_vars/all.yml": "x:\n  - {token: !vault '$ANSIBLE_VAULT;1.1;AES256\n\n  3163'}\n"},
        "inv/group_vars/all.yml:2: x[0].token is vaulted, and no vault password was given",
        "",
    ),
}


def test_a_group_of_one_host_may_have_its_name(tmp_path: Path) -> None:
    lines = ["[pihole]", "pihole ansible_host=10.1.0.3", "[dns:children]", "pihole", "[nodes]", "cp1", ""]
    (tmp_path / "hosts.ini").write_text("\n".join(lines))
    inventory = load("hosts.ini", limit=None, rootpath=tmp_path)
    assert {pattern: inventory.match(pattern) for pattern in ("pihole", "dns", "all:!pihole")} == {
        "pihole": ("pihole",),
        "dns": ("pihole",),
        "all:!pihole": ("cp1",),
    }
    assert inventory.notes == ("Found both group and host with same name: pihole",)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            "[defaults]\ninventory = hosts.ini\nvars_plugins_enabled = host_group_vars,community.sops.sops\n",
            "ansible.cfg:3: the vars plugin community.sops.sops is enabled, and cannot be loaded by this Python: its "
            "collection community.sops is missing",
        ),
        (
            "[inventory]\nenable_plugins = ini, netbox\n",
            "ansible.cfg:2: the inventory plugin netbox is enabled, and cannot be loaded by this Python",
        ),
    ],
)
def test_a_missing_plugin_is_no_fault_of_the_source(tmp_path: Path, settings: str, says: str) -> None:
    (tmp_path / "hosts.ini").write_text("[nodes]\ncp1 ansible_host=10.1.0.2\n")
    (tmp_path / "ansible.cfg").write_text(settings)
    with pytest.raises(BadInput) as refused:
        load("hosts.ini", limit=None, rootpath=tmp_path)
    assert str(refused.value) == says


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    files, begins, says = REFUSED[name]
    for path, text in files.items():
        (tmp_path / "inv" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "inv" / path).write_text(text)
    with pytest.raises(BadInput) as refused:
        load("inv", limit=None, rootpath=tmp_path)
    sentence = str(refused.value)
    assert sentence.startswith(begins)
    assert says in sentence
    assert "\n" not in sentence
    assert str(tmp_path) not in sentence
    assert "_AnsibleTagged" not in sentence


def test_a_script_that_fails(tmp_path: Path) -> None:
    (tmp_path / "hosts.sh").write_text("#!/bin/sh\necho the API is down >&2\nexit 3\n")
    (tmp_path / "hosts.sh").chmod(0o755)
    with pytest.raises(BadInput, match=r"^hosts.sh: Inventory script returned non-zero exit code 3"):
        load("hosts.sh", limit=None, rootpath=tmp_path)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="^there is no inventory inv$"):
        load("inv", limit=None, rootpath=tmp_path)


def test_settings_that_ansible_ignores_because_everybody_may_write_them(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(ONE)
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    tmp_path.chmod(0o777)
    with pytest.raises(BadInput, match="world writable directory"):
        load("hosts.yml", limit=None, rootpath=tmp_path)


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(ONE)
    (tmp_path / "ansible.cfg").write_text("[defaults]\nhash_behaviour = sometimes\n")
    with pytest.raises(BadInput, match=r": Invalid value 'sometimes' for config 'DEFAULT_HASH_BEHAVIOUR'$"):
        load("hosts.yml", limit=None, rootpath=tmp_path)
