"""What the vault gives out while an inventory is read, whatever becomes of it: no report may show it.

Part of the helper process (`reader`); nothing else imports it. A value that another overrides, that belongs
to a group without hosts or that a lookup reads is as secret as one that a host has in the end. So they are taken where
they are decrypted, and not only from what the hosts are left with.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from ansible import constants
from ansible._internal._datatag._tags import Origin
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import EncryptedString, VaultLib

from siteproof.inventory.ansible.trouble import is_vaulted, origin_of
from siteproof.text.search import SHORTEST_SECRET, is_too_short
from siteproof.text.spelling import Part, dotted

SHORTEST_NUMBER = 6
"""Digits of a number in a vaulted file that is a secret, and not a port."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_VAULTED = ("!vault", "!vault-encrypted")
_NO_TEXT = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "timestamp"))
_STANDARD = ("tag:yaml.org,2002:", "!unsafe", *_VAULTED)


class Opened:
    """All secrets that were decrypted."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        """Each with the name of the variable that has it."""
        self.shown: dict[str, None] = {}
        """Sentences about secrets that cannot be hidden."""
        self.source: str | None = None
        """The inventory's own file that is read just now: its lines are names of hosts as well."""
        self._seen: set[str] = set()
        self._searched: dict[int, Any] = {}
        self._documents: list[Any] = []
        self._unnamed: list[str] = []
        self._loads = False

    def listen(self) -> None:
        """From now on, to all that ansible-core decrypts and to all files of variables that it reads."""
        decrypt, load = VaultLib.decrypt, DataLoader.load_from_file

        def decrypt_and_note(vault: VaultLib, vaulttext: Any) -> Any:
            plain = decrypt(vault, vaulttext)
            text = bytes(plain).decode("utf-8", "surrogateescape")
            if isinstance(vaulttext, bytes):  # a whole file: what stands among other text is a str
                self._note_file(text, origin_of(vaulttext))
            else:
                self._unnamed.append(text)
            return plain

        def load_and_note(loader: DataLoader, *given: Any, **named: Any) -> Any:
            self._loads, before = True, self._loads
            try:
                document = load(loader, *given, **named)
            finally:
                self._loads = before
            self._documents.append(document)
            return document

        VaultLib.decrypt = decrypt_and_note
        DataLoader.load_from_file = load_and_note

    def keep(self, name: str, secret: str) -> None:
        if secret in self._seen:
            return
        self._seen.add(secret)
        if not is_too_short(secret):
            self.secrets[secret] = name
        elif secret.strip():
            why = f"a secret shorter than {SHORTEST_SECRET} characters would take ordinary text with it"
            self.shown[f"siteproof does not hide {name}: {why}"] = None

    def search(self, name: str, raw: Any) -> None:
        """Raises Closed for a text that cannot be decrypted."""
        if id(raw) in self._searched or name in constants.INTERNAL_STATIC_VARS:  # `inventory_hostname` and the like
            return
        self._searched[id(raw)] = raw  # kept alive, so that its id stays its own
        closed: Closed | None = None
        for parts, leaf in leaves(raw):
            if isinstance(leaf, EncryptedString):
                try:
                    self.keep(dotted(name, parts), str(leaf))
                except AnsibleError:
                    closed = closed or Closed(dotted(name, parts), leaf)
            elif (isinstance(leaf, str) or _is_long_number(leaf)) and _from_vaulted_file(leaf):
                self.keep(dotted(name, parts), str(leaf))
        if closed is not None:
            raise closed

    def search_all(self, *variables: Mapping[str, Any]) -> None:
        """Also what no host is left with. What stays closed there is known to nobody, and no matter."""
        for mapping in (*variables, *(each for each in self._documents if isinstance(each, dict))):
            for name, raw in mapping.items():
                with suppress(Closed):
                    self.search(str(name), raw)
        for text in self._unnamed:
            self.keep("a vaulted text", text)

    def show_names(self, names: Collection[str]) -> None:
        """What a host or a group is called is said everywhere."""
        for name in sorted(self.secrets.keys() & set(names)):
            self.shown[f"siteproof does not hide {self.secrets.pop(name)}: a host or a group is called so"] = None

    def _note_file(self, text: str, origin: Origin | None) -> None:
        path = origin.path if origin is not None and origin.path else ""
        parsed = list(_texts_in(text, path))
        is_source = self.source is not None and path and Path(path).absolute() == Path(self.source).absolute()
        if not is_source and not (parsed and self._loads):  # what reads a file otherwise has all of its text
            self.keep(Path(path).name or "a vaulted text", text)
        for name, secret in parsed:
            self.keep(name, secret)


class Closed(Exception):
    """A vaulted text that cannot be decrypted."""

    def __init__(self, name: str, text: EncryptedString) -> None:
        super().__init__(name)
        self.name = name
        self.text = text


def leaves(raw: Any, parts: tuple[Part, ...] = ()) -> Iterator[tuple[tuple[Part, ...], Any]]:
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield from leaves(value, (*parts, str(key)))
    elif isinstance(raw, (list, tuple)):
        for index, value in enumerate(raw):
            yield from leaves(value, (*parts, index))
    else:
        yield parts, raw


def _texts_in(text: str, path: str) -> Iterator[tuple[str, str]]:
    """The texts and long numbers of a mapping or a list, each with its name; nothing of any other text."""
    with suppress(ValueError, RecursionError):
        document = tomllib.loads(text) if path.endswith(".toml") else json.loads(text)
        if isinstance(document, dict | list):
            for parts, leaf in leaves(document):
                if isinstance(leaf, str) or _is_long_number(leaf):
                    yield _name(parts), str(leaf)
            return
    try:
        nodes = list(yaml.compose_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    if all(isinstance(node, yaml.CollectionNode) for node in nodes):
        seen = set[int]()
        for node in nodes:
            yield from _texts_of(node, (), seen)


def _texts_of(node: yaml.Node, parts: tuple[Part, ...], seen: set[int]) -> Iterator[tuple[str, str]]:
    """As they are spelled: to build them, ansible-core would have to understand all of the file."""
    if id(node) in seen:  # an alias, which may even stand within itself
        return
    seen.add(id(node))
    if not node.tag.startswith(_STANDARD):
        yield _name(parts), node.tag  # `!word` is a tag, and was meant to be a text
        yield _name(parts), node.tag.removeprefix("!")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _texts_of(value, (*parts, str(key.value)), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _texts_of(value, (*parts, index), seen)
    elif node.tag not in (*_VAULTED, *_NO_TEXT) and (node.tag not in _NUMBERS or len(node.value) >= SHORTEST_NUMBER):
        yield _name(parts), node.value


def _name(parts: tuple[Part, ...]) -> str:
    return dotted(str(parts[0]), parts[1:]) if parts else "a vaulted text"


def _is_long_number(value: Any) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and len(str(value)) >= SHORTEST_NUMBER


def _from_vaulted_file(value: Any) -> bool:
    origin = origin_of(value)
    return origin is not None and bool(origin.path) and is_vaulted(origin.path)
