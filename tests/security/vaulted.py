"""An operator's project with a vault, on whose hosts its secrets come back in every spelling."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from operators_project import Project
from spellings import SPELLINGS

WORD = "hunter2Hunter2swordfish"
SIGNS = "pAssw0rd/a&signs<inIt>w\"o'quoTes+d =%5$#@!"
FOREIGN = "Schlüssel-fürKöln&mehrZeichen😀"
NAMES = ("secretSubject-one", "secretSubject-two")
KEY = "".join(f"{chr(65 + n) * 3}{base64.b64encode(bytes(range(n, n + 45))).decode()}\n" for n in range(5))
PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}-----END OPENSSH PRIVATE KEY-----\n"
PASSWORD = "loginPassw0rdOfMine"  # noqa: S105
SHORT = "x7Q"
NUMBER = 4711081547
TOOL = str(Path(sys.executable).with_name("ansible-vault"))

CHECKS = '''
import os, warnings
from pathlib import Path
from siteproof.asks import command, note
from siteproof.errors import ProbeError
from siteproof.facts import Node
from siteproof.facts.path import Link, Transfer
from siteproof.invariants import invariant
import pytest

SECRETS = Path(r"{directory}/secrets").read_text()
ABOUT = dict(incident="", remedy="")

async def read(host, what):
    """What a host is asked, and what it has said: the check itself is not told, since secrets stood in it."""
    try:
        await asked(host, what)
    except ProbeError as error:
        assert type(error).__name__ == "Withheld", error
    return Path(r"{directory}", what).read_bytes().decode("utf-8", "replace")

def asked(host, what):
    return command(host, f"cat {directory}/{what}", probe=f"read {what}", tools=("cat",),
                   parse=lambda output: output.stdout.decode("utf-8", "replace"))

@invariant("said", family="link", severity="high", **ABOUT)
async def test_a_host_says_nothing(node: Node, link: Link) -> None:
    """A host says nothing."""
    assert await read(node.host, "echoed") == "nothing"

@invariant("held", family="link", severity="high", **ABOUT)
async def test_a_host_notes_something(node: Node, link: Link) -> None:
    """A host notes something."""
    note(await read(node.host, "echoed"))
    note(SECRETS)

@invariant("waived", family="link", severity="high", **ABOUT)
async def test_a_host_is_waived(node: Node, link: Link) -> None:
    """A host is waived."""
    assert await read(node.host, "echoed") == "nothing else"

@invariant("broken", family="link", severity="high", **ABOUT)
async def test_a_probe_breaks(node: Node, link: Link) -> None:
    """A probe breaks."""
    raise ProbeError(f"it says {await read(node.host, 'echoed')} and {SECRETS}", host=node.host)

@invariant("subject", family="path", severity="high", **ABOUT)
async def test_a_transfer_is_one(node: Node, transfer: Transfer) -> None:
    """A transfer is one."""
    answer = await command(node.host, f"echo # {transfer.url}\\n# {SECRETS}", tools=("cat",),
                           probe=f"get {transfer.name}", parse=lambda output: "something")
    assert answer == transfer.name

def test_prints(host, record_property) -> None:
    print(SECRETS)
    with pytest.raises(ProbeError, match="a secret of the inventory stood in the answer"):
        host.check_output("cat {directory}/text")
    print(Path(r"{directory}/text").read_text())
    warnings.warn(SECRETS)
    record_property("found", SECRETS)
    assert SECRETS == "nothing"

def test_raises(host) -> None:
    value = SECRETS
    raise RuntimeError(value)

def test_skips(host) -> None:
    pytest.skip(SECRETS)
'''


def vaulted(project: Project) -> Path:
    """Write the project's inventory; gives the file with the password of its vault."""
    secrets: dict[str, Any] = {
        "vault_word": WORD,
        "vault_signs": SIGNS,
        "vault_foreign": f"{FOREIGN}\n",
        "vault_names": list(NAMES),
        "vault_key": PEM,
        "vault_short": SHORT,
        "vault_number": NUMBER,
    }
    echoed = [spell(secret) for spell in SPELLINGS.values() for secret in (WORD, SIGNS, FOREIGN, *KEY.split())]
    (project.directory / "echoed").write_bytes(b"\n".join([*echoed, PEM.encode(), base64.encodebytes(PEM.encode())]))
    (project.directory / "text").write_text(f"{WORD} {SIGNS} {FOREIGN} {NUMBER} {PEM}", encoding="utf-8")
    (project.directory / "secrets").write_text(f"{WORD} {SIGNS} {FOREIGN} {' '.join(NAMES)}\n{PEM}", encoding="utf-8")
    project.checks(CHECKS)
    absent = project.facts["siteproof_absent"]
    del absent["path"]
    absent["swarm"] = f"not here: {WORD}"
    project.facts["siteproof_path"] = {
        "sources": "one",
        "mtu": 1500,
        "transfers": [
            {
                "name": f"{{{{ vault_names[{n}] }}}}",
                "url": "https://a.example/{{ vault_word }}",
                "control": "https://b.example/{{ vault_signs | urlencode }}",
            }
            for n in range(2)
        ],
    }
    project.facts["siteproof_waivers"] = [
        {"id": "waived", "hosts": "all", "owner": "{{ vault_word }}", "reason": f"{SIGNS}", "until": "2099-01-01"},
        {"id": "nothing", "hosts": "one", "owner": "{{ vault_signs }}", "reason": "{{ vault_foreign }}",
         "until": "2099-01-01"},
    ]  # fmt: skip
    project.variables["ansible_become_password"] = PASSWORD
    password = project.pytester.path / "vault-password"
    password.write_text("open sesame\n")
    project.write()
    file = project.pytester.path / "inventories/site/group_vars/all/vault.yml"
    facts = file.parent.parent / "all.yml"
    said = facts.read_text()
    file.parent.mkdir()
    facts.unlink()
    (file.parent / "main.yml").write_text(said)
    file.write_text(yaml.safe_dump(secrets, allow_unicode=True))
    subprocess.run([TOOL, "encrypt", "--vault-password-file", str(password), str(file)], check=True)
    project.write = lambda: None  # type: ignore[method-assign]
    return password


def encrypted(secret: str, password: Path) -> str:
    """As it stands in a file of variables."""
    line = [TOOL, "encrypt_string", "--vault-password-file", str(password), secret]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


LETTERS = re.compile(r"[A-Za-z0-9]{8,}")


def _marks() -> Iterator[bytes]:
    """What no spelling of a secret is without."""
    for secret in (WORD, SIGNS, FOREIGN, *NAMES, PASSWORD, str(NUMBER), *KEY.split()):
        data = secret.encode()
        yield from (run.encode() for run in LETTERS.findall(secret))
        yield data.hex().encode()[4:36]
        yield from (base64.b64encode(b"x" * n + data)[4:20] for n in range(3))


MARKS = sorted(set(_marks()))


def leaks(data: bytes) -> list[bytes]:
    """What of the secrets is in some output, however it is wrapped or escaped."""
    views = [
        data,
        re.sub(rb"\s|\\+[rn]", b"", data),
        re.sub(rb"[\s:]", b"", data.lower()),
        re.sub(rb"%([3-7][0-9A-Fa-f])", lambda found: bytes.fromhex(found[1].decode()), data),
        re.sub(rb"\\+x([3-7][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), data),
        re.sub(rb"&(?:amp;)*#(\d+);", lambda found: chr(int(found[1])).encode("utf-8", "replace"), data),
        re.sub(rb"&#x([0-9A-Fa-f]+);", lambda found: chr(int(found[1], 16)).encode("utf-8", "replace"), data),
        *_binary(data),
    ]
    return [mark for mark in MARKS if any(mark in view for view in views)]


def _binary(data: bytes) -> Iterator[bytes]:
    """The answers that were no text, of a file of evidence."""
    for line in data.splitlines():
        if b'"encoding"' in line:
            for attempt in json.loads(line)["attempts"]:
                yield from (base64.b64decode(attempt[stream]) for stream in attempt["encoding"])
