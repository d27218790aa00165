"""The inventory: hosts, groups, connection variables, and the declared facts with the place where each was said.

Read by a small helper process with ansible-core's own code (`ansible.reader`), so that groups, precedence, vault
and templates mean what they mean to Ansible. Whatever Ansible would only warn about is BadInput here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from siteproof.errors import BadInput
from siteproof.inventory import patterns
from siteproof.machine.child import Child
from siteproof.text.redaction import Redactor
from siteproof.text.spelling import did_you_mean

PATIENCE_S = 120  # a vault password script may ask a slow vault; a run must not wait for it for ever
SAID_AFTER_S = 5
WORD = "inventory"

# `-P` keeps the working directory off the path of modules: a folder `ansible/` there is nobody's package.
_HELPER = "import sys; sys.path.append(sys.argv.pop(1)); from siteproof.inventory.ansible.reader import run; run()"


@dataclass(frozen=True)
class Value:
    """A variable's value with where it was said.

    `origins` maps a JSON pointer to the place ("inventories/lab/group_vars/all.yml:3:1") at which the inventory says
    it for this variable. `inner` has the place behind it, where a template said only "{{ other }}".
    """

    value: Any
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    inner: Mapping[str, str] = field(default_factory=dict, repr=False)

    def origin(self, pointer: str = "") -> str:
        """The place of what `pointer` points at, or of the nearest thing around it; "" when nothing is known."""
        return _nearest_place(self.origins, pointer)

    def line(self, pointer: str = "") -> str:
        """The same as `file:line`, with the inner place where there is one: `all.yml:12 (from all.yml:3)`."""
        outer, inner = _without_column(self.origin(pointer)), _without_column(_nearest_place(self.inner, pointer))
        return f"{outer} (from {inner})" if inner and inner != outer else outer


@dataclass(frozen=True)
class Host:
    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, Any] = field(repr=False)
    """The ansible_* variables that the inventory sets, templated."""
    facts: Mapping[str, Value] = field(repr=False)
    """The siteproof_* variables."""
    places: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where the ansible_* variables were set, as `file:line`."""


@dataclass(frozen=True)
class Inventory:
    source: str
    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]
    """Each with the hosts of its children, in Ansible's order; `all` is one of them."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Decrypted vault values and passwords: what no report may show."""
    selected: frozenset[str] = frozenset()
    """The hosts that --limit leaves; without it, all."""
    notes: tuple[str, ...] = ()
    """What Ansible remarks and what changes no value, such as deprecations."""

    def match(self, pattern: str) -> tuple[str, ...]:
        """The hosts of an Ansible host pattern, whether selected or not; () when its terms exclude each other.

        Raises BadInput when a term of the pattern names neither a host nor a group.
        """
        return patterns.match(pattern, self.hosts, self.groups)

    def to_json(self) -> str:
        """All of it, secrets included: for a pipe to another process of this run, never for a file."""
        values: list[Value] = []
        numbers: dict[int, int] = {}
        for value in (each for host in self.hosts.values() for each in host.facts.values()):
            if id(value) not in numbers:
                numbers[id(value)] = len(values)
                values.append(value)
        return json.dumps(
            {
                "source": self.source,
                "values": [{"value": v.value, "origins": dict(v.origins), "inner": dict(v.inner)} for v in values],
                "hosts": [
                    {
                        "name": host.name,
                        "groups": host.groups,
                        "variables": dict(host.variables),
                        "places": dict(host.places),
                        "facts": {name: numbers[id(value)] for name, value in host.facts.items()},
                    }
                    for host in self.hosts.values()
                ],
                "groups": dict(self.groups),
                "secrets": sorted(self.secrets),
                "selected": sorted(self.selected),
                "notes": self.notes,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Inventory:
        document = json.loads(text)
        return _inventory(document, [Value(**each) for each in document["values"]], document["source"])


def resolve_source(
    hosts_option: str, rootpath: Path, ini_default: str | None, environ: Mapping[str, str]
) -> Path | str:
    """What `--hosts=X` means: an existing path, then a directory under inventories/, then the word `inventory`
    ($ANSIBLE_INVENTORY, else the ini option), then `backend://…`, which is returned as it is.

    Raises BadInput for everything else. A bare word is never taken for the name of a host.
    """
    if hosts_option and Path(hosts_option).expanduser().exists():
        return Path(hosts_option).expanduser().absolute()
    below = rootpath / "inventories"
    if hosts_option and (below / hosts_option).is_dir():
        return below / hosts_option
    if hosts_option == WORD:
        return _default_source(rootpath, ini_default, environ)
    if "://" in hosts_option:
        return hosts_option
    known = sorted(each.name for each in below.iterdir() if each.is_dir()) if below.is_dir() else []
    there = f"inventories/ has {', '.join(known)}" if known else "there is no folder inventories/"
    hint = did_you_mean(hosts_option, [*known, WORD])
    raise BadInput(
        f"--hosts={hosts_option}: not an existing path, not a folder under inventories/ ({there}), "
        f"not the word `{WORD}` and not a backend://{hint}"
    )


def load(
    source: str | Path,
    *,
    limit: str | None,
    rootpath: Path,
    vault_password_file: str | None = None,
    waits: Callable[[str], None] = lambda _said: None,
) -> Inventory:
    """Read an inventory: a file, a directory in Ansible's sense, or several of them separated by commas.

    Relative paths, `ansible.cfg` and playbook-adjacent variables are looked for in `rootpath`. `waits` is told, in one
    sentence, of what takes long.
    Raises BadInput with one sentence that names file, line and key, for anything that is not wholly clear.
    """
    sources = [str(rootpath / each) for each in _sources(source, rootpath)]
    options = [f"--limit={limit}"] if limit is not None else []
    if vault_password_file is not None:
        options.append(f"--vault-password-file={Path(vault_password_file).expanduser().absolute()}")
    document = _ask_helper([*options, "--", *sources], rootpath, waits)
    places = _Places(rootpath)
    if "error" in document:
        raise BadInput(Redactor(document.get("secrets", ())).text(places.sentence(document["error"])))
    values = [places.value(each) for each in document["values"]]
    for host in document["hosts"]:
        host["places"] = {name: _without_column(places.short(place)) for name, place in host["places"].items()}
    return _inventory(document, values, ",".join(places.short(each) for each in sources))


class _Places:
    """Paths as the operator types them: relative to the root directory, else to the working directory."""

    def __init__(self, rootpath: Path) -> None:
        bases = (rootpath.absolute(), rootpath.resolve(), Path.cwd())
        self._bases = [f"{base}{os.sep}" for base in dict.fromkeys(bases)]
        self._known: dict[str, str] = {}

    def short(self, place: str) -> str:
        if place not in self._known:
            base = next((base for base in self._bases if place.startswith(base)), "")
            self._known[place] = place.removeprefix(base)
        return self._known[place]

    def value(self, document: Mapping[str, Any]) -> Value:
        origins = {pointer: self.short(places[0]) for pointer, places in document["origins"].items()}
        inner = {pointer: self.short(places[1]) for pointer, places in document["origins"].items() if len(places) > 1}
        return Value(document["value"], origins, inner)

    def sentence(self, error: Mapping[str, Any]) -> str:
        message, key = str(error["message"]), error.get("key")
        for base in self._bases:
            message = message.replace(base, "")
        if key and key not in message:
            message = f"{key}: {message}"
        place = self.short(error["file"]) if error.get("file") else ""
        if place and error.get("line"):
            place = f"{place}:{error['line']}"
        return f"{place}: {message}" if place else message


def _default_source(rootpath: Path, ini_default: str | None, environ: Mapping[str, str]) -> Path | str:
    said_by, said = "$ANSIBLE_INVENTORY", environ.get("ANSIBLE_INVENTORY")
    base = Path.cwd()
    if not said:
        said_by, said, base = "the ini option", ini_default, rootpath
    if not said:
        raise BadInput(f"--hosts={WORD}: neither $ANSIBLE_INVENTORY nor the ini option says which inventory")
    paths = [base / Path(each.strip()).expanduser() for each in said.split(",") if each.strip()]
    for path in paths:
        if not path.exists():
            raise BadInput(f"--hosts={WORD}: {said_by} says {said}, and there is no {path}")
    return paths[0] if len(paths) == 1 else ",".join(str(path) for path in paths)


def _sources(source: str | Path, rootpath: Path) -> list[str]:
    if (rootpath / source).exists():
        return [str(source)]
    listed = [each.strip() for each in str(source).split(",") if each.strip()]
    missing = [each for each in listed if not (rootpath / each).exists()]
    if missing or not listed:
        raise BadInput(f"there is no inventory {missing[0] if missing else source}")
    return listed


def _ask_helper(arguments: Sequence[str], rootpath: Path, waits: Callable[[str], None]) -> dict[str, Any]:
    package = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory(prefix="siteproof-inventory-") as scratch:
        stdout, stderr = _run(
            [sys.executable, "-P", "-c", _HELPER, package, *arguments],
            cwd=rootpath,
            environ={**os.environ, **_absolute_settings(), **_settings(scratch), "SITEPROOF_DOING": f"{scratch}/doing"},
            doing=Path(scratch) / "doing",
            waits=waits,
        )
        begun, noted = (Path(scratch) / "doing").exists(), _noted(Path(scratch) / "doing")
    try:
        document: dict[str, Any] = json.loads(stdout)
    except ValueError:
        if begun:  # what it printed may quote secrets that it did not come to name
            raise BadInput(f"the process that reads the inventory has died; it was at {noted}") from None
        raise BadInput(f"ansible-core could not start to read the inventory: {_last_line(stderr)}") from None
    return document


def _run(
    command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], doing: Path, waits: Callable[[str], None]
) -> tuple[str, str]:
    """In a session of its own: without a terminal nobody waits there for a password, and it ends with its children.

    `doing` is the file in which the helper notes what it waits for; its directory goes with the helper.
    """
    with Child(command, cwd=cwd, env=environ, scratch=str(doing.parent)) as helper:
        try:
            stdout, stderr = helper.communicate(SAID_AFTER_S)
        except subprocess.TimeoutExpired:
            waits(f"still reading the inventory: {_noted(doing)}, for which at most {PATIENCE_S} s are waited")
            try:
                stdout, stderr = helper.communicate(max(0.0, PATIENCE_S - SAID_AFTER_S))
            except subprocess.TimeoutExpired:
                raise BadInput(
                    f"reading the inventory took longer than {PATIENCE_S} s and was ended; it was at {_noted(doing)}"
                ) from None
    return stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace")


def _noted(doing: Path) -> str:
    try:
        return doing.read_text(encoding="utf-8") or "its beginning"
    except OSError:
        return "its beginning"


def _absolute_settings() -> dict[str, str]:
    """The paths in the environment that are relative to the working directory, which the helper does not share."""
    said = {name: os.environ.get(name, "") for name in ("ANSIBLE_CONFIG", "ANSIBLE_VAULT_PASSWORD_FILE")}
    return {name: str(Path(path).absolute()) for name, path in said.items() if path and Path(path).exists()}


def _settings(scratch: str) -> dict[str, str]:
    """Keeps ansible-core from writing anywhere but in `scratch`, from being random, and from keeping quiet."""
    return {
        "ANSIBLE_LOCAL_TEMP": scratch,
        "ANSIBLE_LOG_PATH": "",
        "ANSIBLE_CACHE_PLUGIN": "memory",
        "ANSIBLE_INVENTORY_CACHE": "false",
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "warn",
        "ANSIBLE_HOST_PATTERN_MISMATCH": "warning",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "true",
        "ANSIBLE_NOCOWS": "true",
        "ANSIBLE_NOCOLOR": "true",
        "PYTHONHASHSEED": "0",  # the order of the hosts of nested groups comes from sets
        "PYTHONUTF8": "1",
        "PYTHONWARNINGS": "ignore",
    }


def _last_line(stderr: str) -> str:
    """The message of the exception that ended the helper, without the exception's class."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return re.sub(r"^[\w.]+(Error|Exception): ", "", lines[-1]).rstrip(".") if lines else "it said nothing"


def _inventory(document: Mapping[str, Any], values: Sequence[Value], source: str) -> Inventory:
    hosts = (
        Host(
            name=each["name"],
            groups=tuple(each["groups"]),
            variables=each["variables"],
            facts={name: values[number] for name, number in each["facts"].items()},
            places=each["places"],
        )
        for each in document["hosts"]
    )
    return Inventory(
        source=source,
        hosts={host.name: host for host in hosts},
        groups={name: tuple(members) for name, members in document["groups"].items()},
        secrets=frozenset(document["secrets"]),
        selected=frozenset(document["selected"]),
        notes=tuple(document["notes"]),
    )


def _nearest_place(places: Mapping[str, str], pointer: str) -> str:
    while pointer not in places and pointer:
        pointer = pointer.rpartition("/")[0]
    return places.get(pointer, "")


def _without_column(place: str) -> str:
    path, _, number = place.rpartition(":")
    return path if number.isdigit() and path.rpartition(":")[2].isdigit() else place
