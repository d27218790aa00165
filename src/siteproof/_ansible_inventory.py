"""The helper process that reads an inventory with ansible-core itself and prints it as one JSON document.

    python -m siteproof._ansible_inventory SOURCE… [--limit PATTERN] [--vault-password-file FILE]

A process of its own, because ansible-core is slow to import, takes its settings from the environment and the working
directory, prints what it likes, and is GPL. Only `siteproof.inventory` starts it; the document is read from a pipe.
It refuses (exit 4, `{"error": …}`) whatever ansible-core would only warn about. It opens no network connection.
"""

from __future__ import annotations

import argparse
import datetime
import difflib
import json
import math
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, TextIO

import ansible.utils.vars
from ansible import constants as ansible_constants
from ansible._internal._datatag._tags import Origin
from ansible._internal._templating._engine import TemplateEngine
from ansible.errors import AnsibleError, AnsibleValueOmittedError
from ansible.inventory.helpers import sort_groups
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import EncryptedString, VaultSecretsContext, get_file_vault_secret
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from siteproof._ansible_trouble import Ears, Refused, origin_of, refusal
from siteproof.spelling import Part, did_you_mean, dotted, pointer

PREFIX = "siteproof_"
SECRET_ENDINGS = ("_pass", "_password", "_passphrase")


def main(arguments: list[str] | None = None) -> int:
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a plugin prints must not end up in the document
    sys.addaudithook(_no_network)
    sys.dont_write_bytecode = True  # plugins beside the inventory are compiled in memory only
    try:
        _print(_read(_options(arguments)), output)
    except Refused as refused:
        fields = {"message": refused.message, "file": refused.file, "line": refused.line, "key": refused.key}
        _print({"error": fields}, output)
        return 4
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="siteproof._ansible_inventory")
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--limit")
    parser.add_argument("--vault-password-file")
    return parser.parse_args(arguments)


def _print(document: Mapping[str, Any], output: TextIO) -> None:
    with output:
        json.dump(document, output, separators=(",", ":"), allow_nan=False)


def _no_network(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        raise PermissionError("an inventory is read without the network")
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and args[0].family != socket.AF_UNIX:
        raise PermissionError("an inventory is read without the network")


def _read(options: argparse.Namespace) -> dict[str, Any]:
    ears = Ears()
    ears.listen()
    _keep_the_newest_key()
    init_plugin_loader()
    loader = DataLoader()
    try:
        vault_given = _unlock(loader, options.vault_password_file)
        manager = _parse(loader, options.sources, ears)
        ears.refuse()
        selected = _select(manager, options.limit, ears)
        reader = Reader(loader, manager, vault_given=vault_given)
        hosts = [reader.host(host) for host in manager.hosts.values()]
    except AnsibleError as error:
        raise refusal(error, source=ears.source) from error
    ears.refuse()
    return {
        "hosts": hosts,
        "groups": {group.name: [host.name for host in group.get_hosts()] for group in manager.groups.values()},
        "values": reader.values,
        "selected": selected,
        "secrets": sorted(reader.secrets),
        "notes": ears.notes,
    }


def _keep_the_newest_key() -> None:
    """Makes an overriding definition win with its key as well.

    `a | b` keeps the key object of `a`, hence the place of the definition that was overridden. Most values carry
    their own place, but None, true and false cannot, and a mapping's place is the line below its key.
    """
    combine = ansible.utils.vars.combine_vars

    def combine_vars(a: Any, b: Any, merge: bool | None = None) -> Any:
        combined = combine(a, b, merge)
        newest = {key: key for key in b if key in a} if a and b else {}
        return {newest.get(key, key): value for key, value in combined.items()} if newest else combined

    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get("combine_vars") is combine:
            module.combine_vars = combine_vars  # type: ignore[attr-defined]


def _unlock(loader: DataLoader, password_file: str | None) -> bool:
    """Makes the vault passwords known: settings first, as ansible does. Says whether there are any."""
    slugs = list(ansible_constants.DEFAULT_VAULT_IDENTITY_LIST)
    files = [password_file, ansible_constants.DEFAULT_VAULT_PASSWORD_FILE]
    slugs += [f"{ansible_constants.DEFAULT_VAULT_IDENTITY}@{file}" for file in files if file]
    secrets: list[tuple[str, Any]] = []
    for slug in slugs:
        name, _, file = slug.rpartition("@")
        if file in ("prompt", "prompt_ask_vault_pass"):
            raise Refused(
                f"the vault identity {slug} asks for its password on a terminal; put it into a file", key=slug
            )
        try:
            secret = get_file_vault_secret(filename=file, vault_id=name or None, loader=loader)
            secret.load()
        except AnsibleError as error:
            raise Refused(f"the vault password cannot be read: {error.message.rstrip('.')}", file=file) from error
        secrets.append((name or ansible_constants.DEFAULT_VAULT_IDENTITY, secret))
        loader.set_vault_secrets(secrets)
    VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    return bool(secrets)


def _parse(loader: DataLoader, sources: list[str], ears: Ears) -> InventoryManager:
    for source in sources:
        if not Path(source).exists():
            raise Refused(f"there is no inventory {source}", file=source)
    manager = InventoryManager(loader=loader, sources=sources, parse=False)
    parse_source = manager.parse_source

    def noted(source: str, cache: bool = False) -> bool:
        ears.source = str(source)
        return bool(parse_source(source, cache=cache))

    manager.parse_source = noted
    manager.parse_sources()
    ears.refuse()
    if not manager.hosts:
        raise Refused("the inventory has no hosts", file=sources[0])
    return manager


def _select(manager: InventoryManager, limit: str | None, ears: Ears) -> list[str]:
    try:
        manager.subset(limit)
        selected = [host.name for host in manager.get_hosts()]
    except AnsibleError as error:
        raise Refused(f"--limit={limit}: {error.message.rstrip('.')}", key=limit) from error
    for heard in ears.heard:
        pattern = heard.message.rpartition(": ")[2].lstrip("!&")
        hint = did_you_mean(pattern, [*manager.groups, *manager.hosts])
        raise Refused(f"--limit={limit}: no host or group is called {pattern}{hint}", key=pattern)
    if not selected:
        raise Refused(f"--limit={limit} leaves no host", key=limit)
    return selected


class Reader:
    """Templates the variables of one host after the other, and remembers where each value was said."""

    def __init__(self, loader: DataLoader, manager: InventoryManager, *, vault_given: bool) -> None:
        self.values: list[dict[str, Any]] = []
        self.secrets: set[str] = set()
        self._loader = loader
        self._vault_given = vault_given
        self._variables = VariableManager(loader=loader, inventory=manager)
        HostVars(manager, self._variables, loader)  # registers itself, so that `hostvars` can be used in templates
        self._index: dict[str, int] = {}
        self._literals: dict[int, tuple[Any, int | None]] = {}
        self._searched: dict[int, Any] = {}

    def host(self, host: Any) -> dict[str, Any]:
        variables = self._variables.get_vars(host=host, stage="all")
        engine = TemplateEngine(loader=self._loader, variables=variables)
        connection: dict[str, Any] = {}
        facts: dict[str, int] = {}
        for name, raw in variables.items():
            self._look_for_secrets(str(name), raw)
            if name.startswith(PREFIX):
                facts[name] = self._fact(name, raw, engine)
            elif name.startswith("ansible_") and name not in ansible_constants.INTERNAL_STATIC_VARS:
                connection[name] = Rendering(name, engine).render(raw)
                if name.endswith(SECRET_ENDINGS) and connection[name]:
                    self.secrets.add(str(connection[name]))
            else:
                _refuse_near_miss(name)
        groups = [group.name for group in sort_groups(host.get_groups())]
        return {"name": host.name, "groups": groups, "variables": connection, "facts": facts}

    def _fact(self, name: str, raw: Any, engine: TemplateEngine) -> int:
        """The number of the value: hosts share the facts of their groups, which are rendered and printed once."""
        known = self._literals.get(id(raw))
        if known is not None and known[1] is not None and not isinstance(raw, (bool, type(None))):
            return known[1]
        rendering = Rendering(name, engine)
        document = {"value": rendering.render(raw), "origins": rendering.origins}
        number = self._index.setdefault(json.dumps(document), len(self.values))
        if number == len(self.values):
            self.values.append(document)
        self._literals[id(raw)] = (raw, None if rendering.templated else number)
        return number

    def _look_for_secrets(self, name: str, raw: Any) -> None:
        if id(raw) in self._searched:
            return
        self._searched[id(raw)] = raw  # kept alive, so that its id stays its own
        for parts, leaf in _leaves(raw):
            if isinstance(leaf, EncryptedString):
                self.secrets.add(self._decrypted(dotted(name, parts), leaf))
            elif isinstance(leaf, str) and _from_vaulted_file(leaf):
                self.secrets.add(str(leaf))
        self.secrets.discard("")

    def _decrypted(self, key: str, value: EncryptedString) -> str:
        try:
            return str(value)
        except AnsibleError as error:
            why = (
                "cannot be decrypted with the vault password that was given"
                if self._vault_given
                else "is vaulted, and no vault password was given (--vault-password-file, ANSIBLE_VAULT_PASSWORD_FILE)"
            )
            place = origin_of(value)
            raise Refused(
                f"{key} {why}",
                file=place.path if place else None,
                line=place.line_num if place else None,
                key=key,
            ) from error


class Rendering:
    """One variable as plain JSON. `origins` has, by JSON pointer, the place where a value stands, and behind it the
    place of the variable it came from where a template said only "{{ other }}"."""

    def __init__(self, name: str, engine: TemplateEngine) -> None:
        self.origins: dict[str, list[str]] = {}
        self.templated = False
        self._name = name
        self._engine = engine

    def render(self, raw: Any) -> Any:
        place = _place(self._name, raw)
        return self._render(raw, (), place)

    def _render(self, raw: Any, parts: tuple[Part, ...], place: Origin | None) -> Any:
        """What the inventory says literally; its templates are rendered on the way down."""
        if isinstance(raw, (dict, list, tuple)):
            self._note(parts, place)
            return self._container(raw, parts, place, self._render)
        if isinstance(raw, EncryptedString) or _is_template(raw):
            self.templated = True
            result = self._template(raw, parts, place)
            return self._came_from(result, parts, place, origin_of(result))
        self._note(parts, place)
        return self._scalar(raw, parts, place)

    def _came_from(self, value: Any, parts: tuple[Part, ...], outer: Origin | None, inner: Origin | None) -> Any:
        """The result of a template that stands at `outer`; nothing is left in it to be rendered."""
        if value is OMITTED:
            return value
        self._note(parts, outer, inner)
        if isinstance(value, (dict, list, tuple)):
            return self._container(value, parts, inner, partial(self._came_from_within, outer))
        return self._scalar(value, parts, outer)

    def _came_from_within(self, outer: Origin | None, value: Any, parts: tuple[Part, ...], inner: Origin | None) -> Any:
        return self._came_from(value, parts, outer, inner)

    def _container(
        self,
        value: Any,
        parts: tuple[Part, ...],
        place: Origin | None,
        render: Callable[[Any, tuple[Part, ...], Origin | None], Any],
    ) -> Any:
        if isinstance(value, dict):
            named = [(self._key(key, parts, place), each, _place(key, each)) for key, each in value.items()]
            rendered = {name: render(each, (*parts, name), where or place) for name, each, where in named}
            return {name: each for name, each in rendered.items() if each is not OMITTED}
        items = [render(each, (*parts, index), origin_of(each) or place) for index, each in enumerate(value)]
        return [each for each in items if each is not OMITTED]

    def _key(self, key: Any, parts: tuple[Part, ...], place: Origin | None) -> str:
        if isinstance(key, (str, int)) and not isinstance(key, bool):
            return str(key)
        raise self._refused(f"has the key {key!r}, which is not a string; put it in quotes", parts, place)

    def _template(self, raw: Any, parts: tuple[Part, ...], place: Origin | None) -> Any:
        try:
            return self._engine.template(raw)
        except AnsibleValueOmittedError:
            return OMITTED
        except AnsibleError as error:
            refused = refusal(error, key=dotted(self._name, parts))
            if refused.file is None and place is not None:
                refused.file, refused.line = place.path, place.line_num
            raise refused from error

    def _scalar(self, value: Any, parts: tuple[Part, ...], place: Origin | None) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refused(f"is {value}, which is not a number", parts, place)
        if isinstance(value, (str, int, float)):
            return value
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        kind = type(value).__name__.removeprefix("_AnsibleTagged").lower()
        raise self._refused(f"is of the kind {kind}, which no fact can be", parts, place)

    def _note(self, parts: tuple[Part, ...], outer: Origin | None, inner: Origin | None = None) -> None:
        places = [text for text in (_text(outer), _text(inner)) if text]
        same_line = len(places) == 2 and places[0].rpartition(":")[0] == places[1].rpartition(":")[0]
        if places:
            self.origins[pointer(parts)] = places[:1] if same_line else places

    def _refused(self, what: str, parts: tuple[Part, ...], place: Origin | None) -> Refused:
        key = dotted(self._name, parts)
        file, line = (place.path, place.line_num) if place is not None else (None, None)
        return Refused(f"{key} {what}", file=file, line=line, key=key)


OMITTED = object()  # what "{{ omit }}" leaves: nothing


def _place(key: Any, value: Any) -> Origin | None:
    """Where `key: value` stands: at its key, because the value of a block begins on a later line."""
    said, own = origin_of(key), origin_of(value)
    if said is None or own is None:
        return own or said
    follows = said.path == own.path and (said.line_num or 0) <= (own.line_num or 0)
    return said if follows else own


def _text(origin: Origin | None) -> str | None:
    if origin is None or not origin.path:
        return None
    return ":".join(str(part) for part in (origin.path, origin.line_num, origin.col_num) if part)


def _is_template(raw: Any) -> bool:
    return isinstance(raw, str) and ("{" in raw or raw.startswith("#jinja2:"))


def _leaves(raw: Any, parts: tuple[Part, ...] = ()) -> Iterator[tuple[tuple[Part, ...], Any]]:
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield from _leaves(value, (*parts, str(key)))
    elif isinstance(raw, (list, tuple)):
        for index, value in enumerate(raw):
            yield from _leaves(value, (*parts, index))
    else:
        yield parts, raw


def _from_vaulted_file(value: Any) -> bool:
    origin = origin_of(value)
    return origin is not None and bool(origin.path) and _is_vaulted(origin.path)


@cache
def _is_vaulted(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(14) == b"$ANSIBLE_VAULT"
    except OSError:
        return False


def _refuse_near_miss(name: Any) -> None:
    """`siteprof_dns` would be nobody's variable, and the fact it was meant to be would be missing."""
    prefix = str(name).partition("_")[0].partition("-")[0]
    close = difflib.SequenceMatcher(None, prefix.casefold(), PREFIX[:-1]).ratio() > 0.85
    joined = str(name).casefold().replace("-", "").replace("_", "").startswith(PREFIX[:-1])
    if close or joined:
        place = origin_of(name)
        file, line = (place.path, place.line_num) if place is not None else (None, None)
        raise Refused(f"{name} is nearly a {PREFIX}* fact, but not quite", file=file, line=line, key=str(name))


def run() -> None:
    """The whole life of the process."""
    status = main()
    sys.stderr.flush()
    os._exit(status)  # ansible-core's own goodbye takes 20 ms and removes only what the parent removes anyway


if __name__ == "__main__":
    run()
