"""The inventory means what it means to Ansible, and every value knows its place."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from siteproof.errors import BadInput
from siteproof.inventory import Inventory, Value, load, resolve_source

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
    ("host", "fact", "pointer", "line"),
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
def test_each_value_knows_its_place(varied: Inventory, host: str, fact: str, pointer: str, line: str) -> None:
    lab = "inventories/lab/"
    assert varied.hosts[host].facts[fact].line(pointer) == lab + line.format(lab)


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


class TestResolveSource:
    """`--hosts=X`, in the order of the table in the design."""

    @pytest.fixture
    def root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        write(tmp_path, {"inventories/lab/hosts.yml": "", "inventories/example/hosts.yml": "", "sub/mine.yml": ""})
        monkeypatch.chdir(tmp_path / "sub")
        return tmp_path

    def resolve(self, option: str, root: Path, **environ: str) -> Any:
        return resolve_source(option, root, "inventories/lab", environ)

    def test_an_existing_path(self, root: Path) -> None:
        assert self.resolve("mine.yml", root) == root / "sub/mine.yml"

    def test_a_folder_under_inventories_wherever_pytest_was_started(self, root: Path) -> None:
        assert self.resolve("example", root) == root / "inventories/example"

    def test_a_path_goes_before_a_folder_under_inventories(self, root: Path) -> None:
        (root / "sub/lab").mkdir()
        assert self.resolve("lab", root) == root / "sub/lab"

    def test_the_word(self, root: Path) -> None:
        assert self.resolve("inventory", root) == root / "inventories/lab"

    def test_the_word_and_the_environment(self, root: Path) -> None:
        assert self.resolve("inventory", root, ANSIBLE_INVENTORY="mine.yml") == root / "sub/mine.yml"
        both = self.resolve("inventory", root, ANSIBLE_INVENTORY="mine.yml, ../inventories/lab")
        assert both == f"{root}/sub/mine.yml,{root}/sub/../inventories/lab"

    def test_a_backend(self, root: Path) -> None:
        assert self.resolve("ssh://root@lan1", root) == "ssh://root@lan1"

    @pytest.mark.parametrize("option", ["localhost", "10.0.20.1", "lan1,lan2", "", "lab/hosts.yaml"])
    def test_anything_else_is_no_host_name(self, root: Path, option: str) -> None:
        with pytest.raises(BadInput, match=re.escape(f"--hosts={option}: not an existing path")):
            self.resolve(option, root)

    def test_the_nearest_name_is_offered(self, root: Path) -> None:
        with pytest.raises(BadInput, match="inventories/ has example, lab.*did you mean `example`"):
            self.resolve("exampel", root)

    def test_an_environment_that_names_nothing(self, root: Path) -> None:
        with pytest.raises(BadInput, match=r"\$ANSIBLE_INVENTORY says nope, and there is no .*/nope"):
            self.resolve("inventory", root, ANSIBLE_INVENTORY="nope")

    def test_no_default_at_all(self, root: Path) -> None:
        with pytest.raises(BadInput, match="nor the ini option"):
            resolve_source("inventory", root, None, {})
