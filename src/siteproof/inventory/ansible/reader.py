"""The helper process that reads an inventory with ansible-core itself and prints it as one JSON document.

    python -m siteproof.inventory.ansible.reader SOURCE… [--limit PATTERN] [--vault-password-file FILE]

A process of its own, because ansible-core is slow to import, takes its settings from the environment and the working
directory, prints what it likes, and is GPL. Only `inventory.inventory` starts it; the document is read from a pipe.
It refuses (exit 4, `{"error": …}`) whatever ansible-core would only warn about. It opens no network connection.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import ansible.utils.vars
from ansible import constants as ansible_constants
from ansible._internal._templating._engine import TemplateEngine
from ansible.errors import AnsibleError
from ansible.inventory.group import Group
from ansible.inventory.helpers import sort_groups
from ansible.inventory.host import Host
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecretsContext, get_file_vault_secret
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path
from jinja2 import Environment, TemplateError, meta

from siteproof.inventory.ansible import become
from siteproof.inventory.ansible.rendering import Rendering, is_template
from siteproof.inventory.ansible.trouble import Ears, Refused, origin_of, refusal
from siteproof.inventory.ansible.vault import Closed, Opened, leaves
from siteproof.text.spelling import did_you_mean

PREFIX = "siteproof_"
DOING = "SITEPROOF_DOING"
"""The variable that names the file for `_note`."""
ASKS_FOR_ANYTHING = {"lookup", "query", "q", "vars"}
PARSER = Environment(autoescape=True)  # it only parses; nothing is rendered with it
SECRET_ENDINGS = ("_pass", "_password", "_passphrase")


def main(arguments: list[str] | None = None) -> int:
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a plugin prints must not end up in the document
    sys.addaudithook(_no_network)
    sys.dont_write_bytecode = True  # plugins beside the inventory are compiled in memory only
    opened = Opened()
    opened.listen()
    try:
        _print(_read(_options(arguments), opened), output)
    except Refused as refused:
        fields = {"message": refused.message, "file": refused.file, "line": refused.line, "key": refused.key}
        _print({"error": fields, "secrets": sorted(opened.secrets)}, output)  # a refusal may quote one
        return 4
    except Exception as error:  # noqa: BLE001 - said by name, and without the secrets that it may quote
        fields = {"message": f"ansible-core failed while it read the inventory: {type(error).__name__}: {error}"}
        _print({"error": fields, "secrets": sorted(opened.secrets)}, output)
        return 3
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="siteproof.inventory.ansible.reader")
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--limit")
    parser.add_argument("--vault-password-file")
    return parser.parse_args(arguments)


def _print(document: Mapping[str, Any], output: TextIO) -> None:
    with output:
        json.dump(document, output, separators=(",", ":"), allow_nan=False)


def _note(what: str) -> None:
    """For whoever waits for this process."""
    if file := os.environ.get(DOING):
        Path(file).write_text(what, encoding="utf-8", errors="replace")


def _no_network(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        raise PermissionError("an inventory is read without the network")
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and args[0].family != socket.AF_UNIX:
        raise PermissionError("an inventory is read without the network")


def _read(options: argparse.Namespace, opened: Opened) -> dict[str, Any]:
    ears = Ears()
    ears.listen()
    _keep_the_newest_key()
    init_plugin_loader()
    loader = DataLoader()
    reader: Reader | None = None
    hosts: list[dict[str, Any]] = []
    try:
        vault_given = _unlock(loader, options.vault_password_file)
        manager = _parse(loader, options.sources, ears, opened)
        ears.refuse()
        selected = _select(manager, options.limit, ears)
        reader = Reader(loader, manager, opened, vault_given=vault_given)
        for host in manager.hosts.values():
            hosts.append(reader.host(host))
        ears.refuse()
    except AnsibleError as error:
        ears.refuse()  # what was said before an exception is often what led to it
        raise refusal(error, source=ears.source) from error
    finally:
        if reader is not None:
            reader.look_everywhere(also_at_hosts=len(hosts) < len(manager.hosts))
        opened.search_all()
    opened.show_names({*manager.hosts, *manager.groups})
    return {
        "hosts": hosts,
        "groups": {group.name: [host.name for host in group.get_hosts()] for group in manager.groups.values()},
        "values": reader.values,
        "selected": selected,
        "secrets": sorted(opened.secrets),
        "notes": [*ears.notes, *opened.shown],
    }


def _keep_the_newest_key() -> None:
    """Makes an overriding definition win with its key as well.

    A dictionary keeps its first key object, hence the place of the definition that was overridden. Most values carry
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
    for kind in (Group, Host):
        kind.set_variable = _with_the_newest_key(kind.set_variable)


def _with_the_newest_key(set_variable: Callable[[Any, str, Any], None]) -> Callable[[Any, str, Any], None]:
    def set_and_rename(entity: Any, key: str, value: Any) -> None:
        set_variable(entity, key, value)
        if key in entity.vars:
            entity.vars[key] = entity.vars.pop(key)

    return set_and_rename


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
        _note(f"the vault password of {file}")
        try:
            secret = get_file_vault_secret(filename=file, vault_id=name or None, loader=loader)
            secret.load()
        except AnsibleError as error:
            raise Refused(f"the vault password cannot be read: {error.message.rstrip('.')}", file=file) from error
        secrets.append((name or ansible_constants.DEFAULT_VAULT_IDENTITY, secret))
        loader.set_vault_secrets(secrets)
    VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    return bool(secrets)


def _parse(loader: DataLoader, sources: list[str], ears: Ears, opened: Opened) -> InventoryManager:
    for source in sources:
        if not Path(source).exists():
            raise Refused(f"there is no inventory {source}", file=source)
    manager = InventoryManager(loader=loader, sources=sources, parse=False)
    parse_source = manager.parse_source

    def noted(source: str, cache: bool = False) -> bool:
        ears.source = opened.source = str(source)
        _note(f"the source {source}")
        return bool(parse_source(source, cache=cache))

    manager.parse_source = noted
    manager.parse_sources()
    for name in manager.hosts.keys() & manager.groups.keys():
        if [host.name for host in manager.groups[name].get_hosts()] == [name]:  # whichever is meant, it is this host
            ears.forgive(f"Found both group and host with same name: {name}")
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
        _, unmatched, pattern = heard.message.partition("Could not match supplied host pattern, ignoring: ")
        if not unmatched:
            raise Refused(f"--limit={limit}: {heard.message}", key=limit)
        hint = did_you_mean(pattern, [*manager.groups, *manager.hosts])
        raise Refused(f"--limit={limit}: no host or group is called {pattern}{hint}", key=pattern)
    if not selected:
        raise Refused(f"--limit={limit} leaves no host", key=limit)
    return selected


class Reader:
    """Templates the variables of one host after the other, and remembers where each value was said."""

    def __init__(self, loader: DataLoader, manager: InventoryManager, opened: Opened, *, vault_given: bool) -> None:
        self.values: list[dict[str, Any]] = []
        self._loader = loader
        self._manager = manager
        self._opened = opened
        self._vault_given = vault_given
        self._variables = VariableManager(loader=loader, inventory=manager)
        HostVars(manager, self._variables, loader)  # registers itself, so that `hostvars` can be used in templates
        self._index: dict[str, int] = {}
        self._shared: dict[tuple[Any, ...], tuple[int, Any]] = {}
        self._mentioned: dict[int, tuple[Any, frozenset[str] | None]] = {}

    def host(self, host: Any) -> dict[str, Any]:
        _note(f"the variables of {host.name}")
        variables = self._variables.get_vars(host=host, stage="all")
        engine = TemplateEngine(loader=self._loader, variables=variables)
        connection: dict[str, Any] = {}
        places: dict[str, str] = {}
        facts: dict[str, int] = {}
        for key, raw in variables.items():
            name = key if isinstance(key, str) else str(key)
            self._look_for_secrets(str(name), raw)
            if name.startswith(PREFIX):
                facts[name] = self._fact(name, raw, engine)
            elif name.startswith("ansible_") and name not in ansible_constants.INTERNAL_STATIC_VARS:
                rendering = Rendering(name, engine)
                connection[name] = rendering.render(raw)
                if said := rendering.origins.get(""):
                    places[name] = said[0]
                if name.endswith(SECRET_ENDINGS) and connection[name]:
                    self._opened.keep(str(name), str(connection[name]))
            else:
                _refuse_near_miss(name)
        for name, value, place in become.settings(connection.get("ansible_become_method")):
            if connection.get(name) in (None, ""):
                connection[name], places[name] = value, place
        groups = [group.name for group in sort_groups(host.get_groups())]
        return {"name": host.name, "groups": groups, "variables": connection, "places": places, "facts": facts}

    def _fact(self, name: str, raw: Any, engine: TemplateEngine) -> int:
        """The number of the value. Hosts that share a fact and all it is made from share its value: it is rendered and
        printed once, without which a hundred hosts with a hundred templates would take five seconds."""
        inputs = self._inputs(raw, engine.available_variables) if origin_of(raw) is not None else None
        shared = (name, *map(id, inputs)) if inputs is not None else None
        if shared is not None and shared in self._shared:
            return self._shared[shared][0]
        rendering = Rendering(name, engine)
        document = {"value": rendering.render(raw), "origins": rendering.origins}
        number = self._index.setdefault(json.dumps(document), len(self.values))
        if number == len(self.values):
            self.values.append(document)
        if shared is not None:
            self._shared[shared] = (number, inputs)  # the inputs are kept alive, so that their ids stay their own
        return number

    def _inputs(self, raw: Any, variables: Mapping[str, Any]) -> list[Any] | None:
        """All that goes into a value, directly and through others; None where that cannot be told in advance."""
        inputs, seen = [raw], set[str]()
        for value in inputs:  # which grows meanwhile
            names = self._names(value)
            if names is None:
                return None
            inputs += [variables.get(name) for name in sorted(names - seen)]
            seen |= names
        return inputs

    def _names(self, value: Any) -> frozenset[str] | None:
        """The variables that the templates in a value mention."""
        if id(value) not in self._mentioned:
            found = [_names_in(leaf) for _, leaf in leaves(value) if is_template(leaf)]
            known = [names for names in found if names is not None]
            self._mentioned[id(value)] = (value, frozenset().union(*known) if len(known) == len(found) else None)
        return self._mentioned[id(value)][1]

    def _look_for_secrets(self, name: str, raw: Any) -> None:
        try:
            self._opened.search(name, raw)
        except Closed as closed:
            why = (
                "cannot be decrypted with the vault password that was given"
                if self._vault_given
                else "is vaulted, and no vault password was given (--vault-password-file, ANSIBLE_VAULT_PASSWORD_FILE)"
            )
            place = origin_of(closed.text)
            raise Refused(
                f"{closed.name} {why}",
                file=place.path if place else None,
                line=place.line_num if place else None,
                key=closed.name,
            ) from closed

    def look_everywhere(self, *, also_at_hosts: bool) -> None:
        """For secrets that no host has in the end, as far as they can be read.

        And for those of hosts that were not read, before a refusal: it may quote them.
        """
        manager, loader = self._manager, self._loader
        for group in manager.groups.values():  # also of those without hosts, whose variables nobody has asked for
            with suppress(Exception):
                get_vars_from_inventory_sources(loader, manager._sources, [group], "all")
            with suppress(Exception):
                get_vars_from_path(loader, loader.get_basedir(), [group], "all")
        for host in manager.hosts.values() if also_at_hosts else ():
            with suppress(Exception):
                variables = self._variables.get_vars(host=host, stage="all")
                for name in filter(lambda name: str(name).endswith(SECRET_ENDINGS), variables):
                    self._opened.keep(str(name), str(variables[name]))
        self._opened.search_all(*(each.vars for each in (*manager.groups.values(), *manager.hosts.values())))


@cache
def _names_in(template: str) -> frozenset[str] | None:
    try:
        names = meta.find_undeclared_variables(PARSER.parse(template))
    except TemplateError:
        return None
    return None if names & ASKS_FOR_ANYTHING else frozenset(names)


def _refuse_near_miss(name: Any) -> None:
    """`siteprof_dns` would be nobody's variable, and the fact it was meant to be would be missing."""
    if _nearly_a_fact(str(name)):
        place = origin_of(name)
        file, line = (place.path, place.line_num) if place is not None else (None, None)
        raise Refused(f"{name} is nearly a {PREFIX}* fact, but not quite", file=file, line=line, key=str(name))


@cache
def _nearly_a_fact(name: str) -> bool:
    first_word = name.casefold().partition("_")[0].partition("-")[0]
    close = difflib.SequenceMatcher(None, first_word, PREFIX[:-1]).ratio() > 0.85
    return close or name.casefold().replace("-", "").replace("_", "").startswith(PREFIX[:-1])


def run() -> None:
    """The whole life of the process."""
    status = main()
    sys.stderr.flush()
    os._exit(status)  # ansible-core's own goodbye takes 20 ms and removes only what the parent removes anyway


if __name__ == "__main__":
    run()
