"""The inventory means what it means to Ansible, and every value knows its place."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from siteproof.errors import BadInput
from siteproof.inventory.inventory import Inventory, Value, load

BIN = Path(sys.executable).parent

VARIED = {
    "inventories/lab/hosts.yml": """\
        all:
          vars:
            siteproof_flag: false
            siteproof_site: from the source
          hosts:
            edge:
              ansible_host: 10.0.20.1
              ansible_user: root
            lonely:
          children:
            nodes:
              children:
                k3s:
                  hosts:
                    cp1: {ansible_host: "{{ prefix }}.100", siteproof_flag: true}
                    worker1: {ansible_port: 2222}
                swarm_managers:
                  hosts: {swarm1: }
                early:
                  vars: {ansible_group_priority: 10}
                  hosts: {worker1: }
        """,
    "inventories/lab/group_vars/all.yml": """\
        prefix: 10.0.20
        mtu: 1400
        internal: true
        name_list:
          - name: forgejo
            internal: ["{{ prefix }}.203"]
          - {name: immich, internal: ["{{ prefix }}.203"]}
        siteproof_site: from group_vars

        siteproof_dns:
          names: "{{ name_list }}"
          control: www.example
          internal: "{{ internal }}"
          nothing:
          text: |
            two
            lines
        siteproof_host: "{{ inventory_hostname }} of {{ groups.k3s | length }}, {{ hostvars['edge'].ansible_host }}"
        siteproof_home: "{{ lookup('env', 'HOME') }}"
        siteproof_omit: {left: 1, gone: "{{ omit }}", list: ["{{ omit }}", 2]}
        siteproof_until: 2031-02-03
        siteproof_raw: !unsafe "{{ not a template }}"
        siteproof_numbers: {80: http, ratio: 0.5}
        """,
    "inventories/lab/group_vars/nodes/link.yml": 'siteproof_link: {mtu: "{{ mtu }}"}\n',
    "inventories/lab/group_vars/k3s.yml": "siteproof_link:\n  mtu: 1410\n",
    "inventories/lab/group_vars/early.yml": "siteproof_link: {mtu: 9000}\n",
    "inventories/lab/host_vars/cp1.yml": "siteproof_site: from host_vars\n",
    "inventories/lab/host_vars/nobody.yml": "siteproof_site: of no host\n",
}


def write(base: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return base


def run(root: Path, *command: str, **environ: str) -> str:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=root,
        env={**os.environ, "ANSIBLE_LOCAL_TEMP": str(root / ".ansible"), "ANSIBLE_NOCOLOR": "1", **environ},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("site"), VARIED)


@pytest.fixture(scope="module")
def varied(root: Path) -> Inventory:
    return load("inventories/lab", limit=None, rootpath=root)


def test_untemplated_values_and_groups_are_those_of_ansible_inventory(root: Path, varied: Inventory) -> None:
    listed = json.loads(run(root, "ansible-inventory", "-i", "inventories/lab", "--list"))
    for host, variables in listed["_meta"]["hostvars"].items():
        for name, value in variables.items():
            if "{{" not in json.dumps(value) and name.startswith("siteproof_"):
                assert (host, name, varied.hosts[host].facts[name].value) == (host, name, value)
            if "{{" not in json.dumps(value) and name.startswith("ansible_"):
                assert (host, name, varied.hosts[host].variables[name]) == (host, name, value)
    assert set(varied.hosts) == {"edge", "lonely", "cp1", "worker1", "swarm1"}
    assert set(listed["k3s"]["hosts"]) == set(varied.groups["k3s"])
    assert set(varied.groups["nodes"]) == {"cp1", "worker1", "swarm1"}


def test_templated_values_are_those_ansible_gives_a_task(root: Path, varied: Inventory) -> None:
    names = sorted({name for host in varied.hosts.values() for name in host.facts} - {"siteproof_link"})
    wanted = json.dumps({"msg": {name: f"{{{{ {name} }}}}" for name in names}})
    said = run(root, "ansible", "all", "-i", "inventories/lab", "-m", "ansible.builtin.debug", "-a", wanted)
    decoder = json.JSONDecoder()
    answers = {
        found[1]: decoder.raw_decode(said, found.end())[0]["msg"]
        for found in re.finditer(r"^(\w+) \| SUCCESS => ", said, re.MULTILINE)
    }
    assert answers == {host.name: {name: host.facts[name].value for name in names} for host in varied.hosts.values()}


def test_precedence_is_that_of_ansible(varied: Inventory) -> None:
    mtu = {
        host.name: host.facts["siteproof_link"].value["mtu"] for host in varied.hosts.values() if "nodes" in host.groups
    }
    assert mtu == {"cp1": 1410, "worker1": 9000, "swarm1": 1400}
    assert varied.hosts["cp1"].facts["siteproof_site"].value == "from host_vars"
    assert varied.hosts["worker1"].facts["siteproof_site"].value == "from group_vars"
    assert varied.hosts["cp1"].groups == ("all", "nodes", "k3s")
    assert varied.hosts["cp1"].variables["ansible_host"] == "10.0.20.100"
    assert varied.hosts["worker1"].variables == {"ansible_port": 2222}


@pytest.mark.parametrize(
    ("name", "fact", "pointer", "line"),
    [
        ("cp1", "siteproof_site", "", "host_vars/cp1.yml:1"),
        ("worker1", "siteproof_site", "", "group_vars/all.yml:8"),
        # A value that cannot carry its own place, overridden: the place is the winner's.
        ("edge", "siteproof_flag", "", "hosts.yml:3"),
        ("cp1", "siteproof_flag", "", "hosts.yml:15"),
        # A block mapping begins below its key; people look for the key.
        ("edge", "siteproof_dns", "", "group_vars/all.yml:10"),
        ("edge", "siteproof_dns", "/control", "group_vars/all.yml:12"),
        ("edge", "siteproof_dns", "/control/no/such", "group_vars/all.yml:12"),
        ("edge", "siteproof_dns", "/nothing", "group_vars/all.yml:14"),
        ("edge", "siteproof_dns", "/text", "group_vars/all.yml:15"),
        # Through a template: where it is said for this variable, and where it comes from.
        ("edge", "siteproof_dns", "/names/0/internal/0", "group_vars/all.yml:11 (from {}group_vars/all.yml:6)"),
        ("edge", "siteproof_dns", "/names/1/name", "group_vars/all.yml:11 (from {}group_vars/all.yml:7)"),
        ("swarm1", "siteproof_link", "/mtu", "group_vars/nodes/link.yml:1 (from {}group_vars/all.yml:2)"),
        ("worker1", "siteproof_link", "/mtu", "group_vars/early.yml:1"),
    ],
)
def test_each_value_knows_its_place(varied: Inventory, name: str, fact: str, pointer: str, line: str) -> None:
    lab = "inventories/lab/"
    assert varied.hosts[name].facts[fact].line(pointer) == lab + line.format(lab)


def test_an_origin_has_a_column(varied: Inventory) -> None:
    assert varied.hosts["edge"].facts["siteproof_dns"].origin("/control") == "inventories/lab/group_vars/all.yml:12:3"


def test_hosts_are_in_the_order_of_the_inventory(varied: Inventory) -> None:
    assert list(varied.hosts) == ["edge", "lonely", "cp1", "worker1", "swarm1"]


def test_it_survives_the_pipe_to_a_worker(varied: Inventory) -> None:
    assert Inventory.from_json(varied.to_json()) == varied


def test_a_limit_selects_and_forgets_nobody(root: Path) -> None:
    inventory = load("inventories/lab", limit="k3s:!cp1", rootpath=root)
    assert inventory.selected == {"worker1"}
    assert len(inventory.hosts) == 5


def test_without_a_limit_all_hosts_are_selected(varied: Inventory) -> None:
    assert varied.selected == set(varied.hosts)


def test_several_sources_and_an_ini_file(tmp_path: Path) -> None:
    write(
        tmp_path, {"a.ini": "[k3s]\ncp1 siteproof_link='{\"mtu\": 1400}'\n", "b/hosts.yml": "lan: {hosts: {lan1: }}\n"}
    )
    inventory = load(f"a.ini,{tmp_path / 'b'}", limit=None, rootpath=tmp_path)
    assert inventory.source == "a.ini,b"
    assert list(inventory.hosts) == ["cp1", "lan1"]
    assert inventory.hosts["cp1"].facts["siteproof_link"] == Value({"mtu": 1400}, {"": "a.ini:2", "/mtu": "a.ini:2"})


def test_places_are_short_through_a_symbolic_link(tmp_path: Path, root: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    inventory = load("inventories/lab", limit=None, rootpath=tmp_path / "link")
    assert inventory.hosts["edge"].facts["siteproof_site"].line() == "inventories/lab/group_vars/all.yml:8"


def test_nothing_is_written_and_nothing_beside_the_inventory_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path, {"hosts.yml": "all: {hosts: {a: {siteproof_x: \"{{ 'b' | shout }}\"}}}\n", "home/x": "", "tmp/x": ""}
    )
    write(tmp_path, {"filter_plugins/f.py": "class FilterModule:\n  def filters(self): return {'shout': str.upper}\n"})
    write(tmp_path, dict.fromkeys(("ansible/__init__.py", "yaml.py", "json.py"), "raise SystemExit('imported')\n"))
    write(tmp_path, {"ansible.cfg": "[defaults]\nlog_path = home/log\nfilter_plugins = filter_plugins\n"})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert load("hosts.yml", limit=None, rootpath=tmp_path).hosts["a"].facts["siteproof_x"].value == "B"
    assert sorted(tmp_path.rglob("*")) == before


def test_hosts_share_a_value_only_when_they_share_all_it_is_made_from(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "hosts.yml": "all: {hosts: {a: , b: {who: bee}, c: }}\n",
            "group_vars/all.yml": """\
                site: home
                who: "{{ inventory_hostname }}"
                siteproof_far: "{{ near }}"
                near: {who: "{{ who }}"}
                siteproof_site: ["{{ site }}", "{{ lookup('vars', 'site') }}", "{{ lookup('vars', 'who') }}"]
                siteproof_one: &same {x: "{{ site }}"}
                siteproof_two: *same
                siteproof_flag: true
            """,
        },
    )
    hosts = load("hosts.yml", limit=None, rootpath=tmp_path).hosts
    facts = {
        name: [host.facts[f"siteproof_{name}"] for host in hosts.values()] for name in ("far", "site", "one", "two")
    }
    assert [fact.value for fact in facts["far"]] == [{"who": "a"}, {"who": "bee"}, {"who": "c"}]
    assert [fact.value for fact in facts["site"]] == [
        ["home", "home", "a"],
        ["home", "home", "bee"],
        ["home", "home", "c"],
    ]
    assert facts["one"][0] is facts["one"][1]
    assert [facts[name][0].line() for name in ("one", "two")] == ["group_vars/all.yml:6", "group_vars/all.yml:7"]


def test_a_variable_that_is_set_twice_stands_at_the_second_place(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "hosts.yml": """\
        all:
          children:
            lan: {hosts: {a: {siteproof_x: false, siteproof_y: {x: 1}}}}
            nodes: {hosts: {a: {siteproof_x: true, siteproof_y: [1]}}}
    """
        },
    )
    facts = load("hosts.yml", limit=None, rootpath=tmp_path).hosts["a"].facts
    assert {name: (fact.value, fact.line()) for name, fact in facts.items()} == {
        "siteproof_x": (True, "hosts.yml:4"),
        "siteproof_y": ([1], "hosts.yml:4"),
    }


def test_what_is_omitted_moves_no_place(tmp_path: Path) -> None:
    write(tmp_path, {"hosts.yml": 'all:\n  hosts:\n    a:\n      siteproof_x:\n        - "{{ omit }}"\n        - 2\n'})
    fact = load("hosts.yml", limit=None, rootpath=tmp_path).hosts["a"].facts["siteproof_x"]
    assert (fact.value, fact.line("/0")) == ([2], "hosts.yml:6")


def test_settings_cannot_make_it_keep_quiet(tmp_path: Path) -> None:
    quiet = "host_pattern_mismatch = ignore\nduplicate_dict_key = ignore\n"
    write(tmp_path, {"hosts.yml": "all: {hosts: {a: }}\n", "ansible.cfg": f"[defaults]\n{quiet}[inventory]\n{quiet}"})
    with pytest.raises(BadInput, match="no host or group is called b"):
        load("hosts.yml", limit="a,b", rootpath=tmp_path)
    write(tmp_path, {"host_vars/a.yml": "x: 1\nx: 2\n"})
    with pytest.raises(BadInput, match="^host_vars/a.yml:2: x is given twice$"):
        load("hosts.yml", limit=None, rootpath=tmp_path)


def test_a_source_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"hosts.sh": f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n"})
    (tmp_path / "hosts.sh").chmod(0o755)
    monkeypatch.setattr("siteproof.inventory.inventory.PATIENCE_S", 3)
    with pytest.raises(
        BadInput, match="^reading the inventory took longer than 3 s and was ended; it was at the source .*hosts.sh$"
    ):
        load("hosts.sh", limit=None, rootpath=tmp_path)
    cmdline = Path("/proc", (tmp_path / "pid").read_text().strip(), "cmdline")
    deadline = time.monotonic() + 5
    while cmdline.exists() and cmdline.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not cmdline.exists() or not cmdline.read_bytes()  # gone, or dead and waiting for somebody to notice


def test_harmless_remarks_are_notes(tmp_path: Path) -> None:
    write(tmp_path, {"hosts.yml": "k3s-nodes: {hosts: {a: {port: 5}}}\n"})
    inventory = load("hosts.yml", limit=None, rootpath=tmp_path)
    assert inventory.match("k3s-nodes") == ("a",)
    assert any("Invalid characters" in note for note in inventory.notes)


PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def vaulted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write(
        tmp_path_factory.mktemp("vaulted"),
        {
            "password": PASSWORD + "\n",
            "wrong": "nothing like it\n",
            "inv/hosts.yml": "all: {hosts: {a: {ansible_ssh_pass: hunter2, ansible_become_password: '{{ sudo }}'}}}\n",
            "inv/group_vars/all/vault.yml": "sudo: open sesame\n",
        },
    )
    run(root, "ansible-vault", "encrypt", "--vault-password-file=password", "inv/group_vars/all/vault.yml")
    inline = run(root, "ansible-vault", "encrypt_string", "--vault-password-file=password", "-n", "token", "s3cret")
    (root / "inv/group_vars/all/main.yml").write_text(f'siteproof_x: {{auth: "Bearer {{{{ token }}}}"}}\n{inline}\n')
    return root


@pytest.mark.parametrize("by", ["option", "environment", "ansible.cfg"])
def test_vaulted_values_are_read_and_known_as_secrets(
    vaulted: Path, by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    password = str(vaulted / "password")
    if by == "environment":
        monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", password)
    if by == "ansible.cfg":
        write(tmp_path, {"ansible.cfg": f"[defaults]\nvault_password_file = {password}\n"})
    option = password if by == "option" else None
    inventory = load(vaulted / "inv", limit=None, rootpath=tmp_path, vault_password_file=option)
    host = inventory.hosts["a"]
    assert host.facts["siteproof_x"].value == {"auth": "Bearer s3cret"}
    assert host.variables["ansible_become_password"] == "open sesame"
    assert inventory.secrets == {"s3cret", "open sesame", "hunter2"}
    assert not [secret for secret in inventory.secrets if secret in repr(inventory)]


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        (None, r"inv/group_vars/all/vault.yml: .*vault"),
        ("wrong", r"inv/group_vars/all/vault.yml: .*[Dd]ecryption failed"),
        ("missing", r"missing: the vault password cannot be read: .*not found"),
    ],
)
def test_a_vault_that_stays_closed_is_refused(vaulted: Path, password: str | None, sentence: str) -> None:
    file = str(vaulted / password) if password else None
    with pytest.raises(BadInput, match=sentence):
        load("inv", limit=None, rootpath=vaulted, vault_password_file=file)


WORD = "hunter2Hunter2swordfish"
ONE = "all: {hosts: {a: }}\n"
WHERE: Mapping[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "an inventory in TOML": ({"inv/hosts.toml": f'[all.hosts.a]\nx="{WORD}"\n'}, ("inv/hosts.toml",)),
    "an inventory in INI": ({"inv/hosts": f"a x={WORD}\n"}, ("inv/hosts",)),
    "an inventory in YAML": ({"inv/hosts.yml": f"all: {{hosts: {{a: {{x: {WORD}}}}}}}\n"}, ("inv/hosts.yml",)),
    "a group without hosts": (
        {"inv/hosts.yml": "all: {hosts: {a: }, children: {ghost: }}\n", "inv/group_vars/ghost.yml": f"x: {WORD}\n"},
        ("inv/group_vars/ghost.yml",),
    ),
    "a value of a group without hosts": (
        {"inv/hosts.yml": "all: {hosts: {a: }, children: {ghost: }}\n", "inv/group_vars/ghost.yml": "x: !vaulted\n"},
        (),
    ),
    "a value that a host overrides": (
        {"inv/hosts.yml": ONE, "inv/group_vars/all.yml": "x: !vaulted\n", "inv/host_vars/a.yml": "x: y\n"},
        (),
    ),
    "a value that a file beside it overrides": (
        {"inv/hosts.yml": ONE, "inv/group_vars/all/a.yml": "x: !vaulted\n", "inv/group_vars/all/b.yml": "x: y\n"},
        (),
    ),
    "a vaulted value in a vaulted file": (
        {"inv/hosts.yml": ONE, "inv/group_vars/all.yml": "x:\n  y: !vaulted\n"},
        ("inv/group_vars/all.yml",),
    ),
    "a file that a lookup reads": (
        {
            "inv/hosts.yml": ONE,
            "secret": f"{WORD}\n",
            "inv/group_vars/all.yml": 'siteproof_x: \'{{ lookup("unvault", inventory_dir + "/../secret") }}\'\n',
        },
        ("secret",),
    ),
    "a mapping that a lookup reads": (
        {
            "inv/hosts.yml": ONE,
            "secret.yml": f"token: {WORD}\n",
            "inv/group_vars/all.yml": "siteproof_x: \"{{ lookup('file', inventory_dir + '/../secret.yml') }}\"\n",
        },
        ("secret.yml",),
    ),
}


def closed(root: Path, files: Mapping[str, str], encrypted: Iterable[str]) -> None:
    """Write files, vaulted where they say so or are named."""
    write(root, {"password": PASSWORD + "\n"})
    text = ""
    if any("!vaulted" in file for file in files.values()):
        text = run(root, "ansible-vault", "encrypt_string", "--vault-password-file=password", WORD)
    for name, file in files.items():
        write(root, {name: file})
        (root / name).write_text((root / name).read_text().replace("!vaulted\n", text))
    for name in encrypted:
        run(root, "ansible-vault", "encrypt", "--vault-password-file=password", name)


@pytest.mark.parametrize("where", WHERE)
def test_all_that_is_decrypted_is_secret_whoever_has_it(where: str, tmp_path: Path) -> None:
    closed(tmp_path, *WHERE[where])
    read = load("inv", limit=None, rootpath=tmp_path, vault_password_file=str(tmp_path / "password"))
    assert WORD in {secret.strip() for secret in read.secrets}
    assert not [note for note in read.notes if "hide" in note]


def test_keys_and_what_stays_closed_to_all_are_no_secrets(tmp_path: Path) -> None:
    files = {
        "inv/hosts.yml": "all: {hosts: {longhost: {some_key: some text}}, children: {ghost: }}\n",
        "inv/group_vars/ghost.yml": "x: !vaulted\n",
    }
    closed(tmp_path, files, ("inv/hosts.yml",))
    ghost = tmp_path / "inv/group_vars/ghost.yml"
    ghost.write_text(ghost.read_text().replace("1.1;AES256\n", "1.1;AES256\n", 1).replace("6", "7"))
    read = load("inv", limit=None, rootpath=tmp_path, vault_password_file=str(tmp_path / "password"))
    assert read.secrets == {"some text"}


WRONG = {
    "a tag": ("inv/host_vars/a.yml", f"x: !{WORD}\n", "inv/host_vars/a.yml:1: "),
    "an alias": ("inv/host_vars/a.yml", f"x: *{WORD}\n", "inv/host_vars/a.yml:1: "),
    "a tag in the inventory": ("inv/hosts.yml", f"all: {{hosts: {{a: {{x: !{WORD} }}}}}}\n", "inv/hosts.yml:1: "),
    "a line of an INI file": ("inv/more", f"[all]\na {WORD}\n", "inv/more: "),
    "a line of a TOML file": ("inv/more.toml", f"x = {WORD}\n", "inv/more.toml: "),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_refusal_quotes_nothing_of_a_vaulted_file_that_cannot_be_read(what: str, tmp_path: Path) -> None:
    name, text, place = WRONG[what]
    closed(tmp_path, {"inv/hosts.yml": ONE, name: text}, (name,))
    with pytest.raises(BadInput, match="quote what is vaulted") as refused:
        load("inv", limit=None, rootpath=tmp_path, vault_password_file=str(tmp_path / "password"))
    assert str(refused.value).startswith(place)
    assert WORD[:8] not in str(refused.value)


BREAKS = """
from ansible.plugins.vars import BaseVarsPlugin
class VarsModule(BaseVarsPlugin):
    def get_vars(self, loader, path, entities, cache=True):
        text = loader.load_from_file(path + "/group_vars/all.yml", cache="none")["x"]
        {does}
        return {{}}
"""


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("raise KeyError(str(text))", "ansible-core failed while it read the inventory: KeyError: '«redacted»'"),
        (
            "import os, sys; print(text, file=sys.stderr, flush=True); os._exit(9)",
            "has died; it was at the variables of a",
        ),
    ],
    ids=["fails", "dies"],
)
def test_what_breaks_while_it_is_read_shows_no_secret(tmp_path: Path, does: str, says: str) -> None:
    files = {
        "ansible.cfg": "[defaults]\nvars_plugins = plugins\n",
        "plugins/breaks.py": BREAKS.format(does=does),
        "inv/hosts.yml": ONE,
        "inv/group_vars/all.yml": "x: !vaulted\n",
    }
    closed(tmp_path, files, ())
    with pytest.raises(BadInput) as refused:
        load("inv", limit=None, rootpath=tmp_path, vault_password_file=str(tmp_path / "password"))
    assert says in str(refused.value) and WORD not in str(refused.value)


def test_a_name_that_is_a_number_is_nobodys_variable(tmp_path: Path) -> None:
    files = {"inv/hosts.yml": ONE, "inv/group_vars/all.yml": "1: x\ny: 2\nsiteproof_x: '{{ y }}'\n"}
    read = load("inv", limit=None, rootpath=write(tmp_path, files))
    assert read.hosts["a"].facts["siteproof_x"].value == 2


@pytest.mark.parametrize(
    ("password", "why"), [(None, "is vaulted, and no vault password was given"), ("wrong", "cannot be decrypted")]
)
def test_a_vaulted_value_that_stays_closed_is_named(
    vaulted: Path, tmp_path: Path, password: str | None, why: str
) -> None:
    token = (vaulted / "inv/group_vars/all/main.yml").read_text().partition("\n")[2]
    write(tmp_path, {"inv/hosts.yml": "all: {hosts: {a: }}\n", "inv/group_vars/all.yml": "x: 1\n" + token})
    file = str(vaulted / password) if password else None
    with pytest.raises(BadInput, match=f"inv/group_vars/all.yml:2: token {why}"):
        load("inv", limit=None, rootpath=tmp_path, vault_password_file=file)


@pytest.mark.parametrize(
    ("settings", "environment", "found", "place"),
    [
        ("[defaults]\n", {}, {}, ""),
        ("[privilege_escalation]\n# ours\nbecome_method = doas\n", {}, {"method": "doas"}, "ansible.cfg:3"),
        ("[privilege_escalation]\nbecome_user=deploy\n", {}, {"user": "deploy"}, "ansible.cfg:2"),
        ("[sudo_become_plugin]\nflags = -H -i\n", {}, {"flags": "-H -i"}, "ansible.cfg:2"),
        ("[defaults]\n", {"ANSIBLE_BECOME_METHOD": "su"}, {"method": "su"}, "$ANSIBLE_BECOME_METHOD"),
        ("[defaults]\n", {"ANSIBLE_SUDO_EXE": "/opt/sudo"}, {"exe": "/opt/sudo"}, "$ANSIBLE_SUDO_EXE"),
    ],
)
def test_how_root_is_become_may_stand_in_ansibles_settings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: str,
    environment: dict[str, str],
    found: dict[str, str],
    place: str,
) -> None:
    write(tmp_path, {"ansible.cfg": settings, "hosts.yml": "all: {hosts: {a: , b: {ansible_become_user: root}}}\n"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hosts = load("hosts.yml", limit=None, rootpath=tmp_path).hosts
    said = {name.removeprefix("ansible_become_"): value for name, value in hosts["a"].variables.items()}
    assert said == found
    assert set(hosts["a"].places.values()) == ({place} if place else set())
    assert hosts["b"].variables["ansible_become_user"] == "root"
