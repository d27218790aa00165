"""A project as an operator has it: an inventory of hosts that are all one real sshd, and a few checks."""

from __future__ import annotations

import getpass
import json
import time
from pathlib import Path
from typing import Any

import pytest
import warm_pytest
import yaml
from _pytest.pathlib import make_numbered_dir
from local_sshd import Sshd

from siteproof.facts import FAMILIES

CHECKS = '''
from siteproof.asks import command, each, note
from siteproof.facts import Node
from siteproof.facts.path import Link
from siteproof.invariants import invariant
import pytest

def mtu(host):
    return command(host, "cat {directory}/$LOGNAME/mtu 2>/dev/null || cat {directory}/mtu", probe="mtu", tools=("cat",),
                   parse=lambda output: int(output.text))

@invariant("mtu", family="link", severity="high", incident="an incident", remedy="a remedy", gate=True)
async def test_node_has_the_declared_mtu(node: Node, link: Link) -> None:
    """A node has the declared MTU."""
    assert await mtu(node.host) == link.mtu

def lent(host):
    return command(host, "echo >>{directory}/lent", probe="lent", probe_class="borrows", parse=bool, tools=())

@invariant("mtu-borrowed", family="link", severity="low", incident="", remedy="")
async def test_node_lends_something(node: Node, link: Link) -> None:
    assert await mtu(node.host) > 0
    await lent(node.host)
'''


WORKERS = pytest.mark.parametrize(
    "workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="-n2", marks=pytest.mark.slow)]
)
"""A run alone, and one shared by two processes, which each start anew."""


class Project:
    """A project of an operator, with an inventory of hosts that are all the same sshd."""

    def __init__(self, pytester: pytest.Pytester, sshd: Sshd, key: Path) -> None:
        self.pytester = pytester
        self.sshd = sshd
        self.directory = sshd.directory / "answers"
        self.directory.mkdir(exist_ok=True)
        self.mtu(1400)
        self.hosts: dict[str, dict[str, Any]] = {"one": {}, "two": {"siteproof_alias_of": "one"}}
        self.facts: dict[str, Any] = {
            "siteproof_link": {"mtu": 1400},
            "siteproof_absent": {name: "not here" for name in FAMILIES if name != "link"},
        }
        self.variables = {
            "ansible_host": "127.0.0.1",
            "ansible_port": sshd.port,
            "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(key),
            "ansible_ssh_common_args": f"-F /dev/null -o UserKnownHostsFile={sshd.known_hosts} -o IdentitiesOnly=yes",
        }
        pytester.makeconftest('pytest_plugins = ["siteproof.plugin"]')
        pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider -p no:hypothesispytest")
        self.checks(CHECKS)

    def mtu(self, value: int | str) -> None:
        (self.directory / "mtu").write_text(f"{value}\n")

    def checks(self, source: str) -> None:
        folder = self.pytester.path / "tests_infra"
        folder.mkdir(exist_ok=True)
        (folder / "test_links.py").write_text(source.replace("{directory}", str(self.directory)))

    def write(self) -> None:
        folder = self.pytester.path / "inventories/site"
        (folder / "group_vars").mkdir(parents=True, exist_ok=True)
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": self.hosts}}))
        (folder / "group_vars/all.yml").write_text(yaml.safe_dump(self.variables | self.facts, sort_keys=False))

    def run(self, *options: str, hosts: str | None = "site") -> pytest.RunResult:
        self.write()
        named = [f"--hosts={hosts}"] if hosts else []
        return self.pytest("tests_infra", *named, *options)

    def pytest(self, *arguments: str) -> pytest.RunResult:
        """`python -m pytest` in a process of its own."""
        if not warm_pytest.can_run():
            return self.pytester.runpytest_subprocess(*arguments, timeout=60)
        tmp = make_numbered_dir(root=self.pytester.path, prefix="runpytest-", mode=0o700)
        paths = (self.pytester.path / "stdout", self.pytester.path / "stderr")
        for path in paths:
            path.write_bytes(b"")
        begun = time.monotonic()
        # pytester puts the directory in front of PYTHONPATH, and so it is here.
        code = warm_pytest.run((f"--basetemp={tmp}", *arguments), *paths, timeout_s=60)
        out, errors = (path.read_text(encoding="utf-8").splitlines() for path in paths)
        print(*arguments, *out, *errors, sep="\n")
        return pytest.RunResult(code, out, errors, time.monotonic() - begun)

    @property
    def runs(self) -> list[Path]:
        """The directories of all runs, oldest first."""
        found = (self.pytester.path / "reports").iterdir()
        return sorted(path for path in found if path.is_dir() and not path.is_symlink())

    @property
    def report(self) -> dict[str, Any]:
        """What the newest run found."""
        found: dict[str, Any] = json.loads((self.runs[-1] / "report.json").read_text())
        return found

    def verdicts(self) -> dict[str, str]:
        return {f"{r['id']}[{r['subject']}]": r["verdict"] for r in self.report["results"]}
