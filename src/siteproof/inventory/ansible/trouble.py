"""What ansible-core complains about while it reads an inventory, turned into one sentence with file, line and key.

Part of the helper process (`reader`); nothing else imports it, because ansible-core is slow to import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible import constants as ansible_constants
from ansible._internal._datatag._tags import Origin
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display

from siteproof.text.spelling import dotted

# Said about the style of an inventory, not about its meaning: every value is read as it was written.
HARMLESS = (
    "Invalid characters were found in group names",
    "Found variable using reserved name",
)
# What is said beside the complaint that has the cause.
CONSEQUENCES = ("Unable to parse ", "No inventory was parsed", "Error loading plugin ")
# Which plugin's complaint is the one the operator can use: the others only say that the file is not theirs.
PLUGINS_BY_SUFFIX = {
    ".yml": ("yaml", "auto"),
    ".yaml": ("yaml", "auto"),
    ".json": ("yaml", "auto"),
    ".toml": ("toml",),
}
UNREADABLE = "Ansible cannot read it; why is not shown, because that may quote what is vaulted"
OF_THE_VAULT = re.compile(
    r"Attempting to decrypt but no vault secrets found|Decryption failed \([\w ]+\)|Vault (?:[\w ]+ )?format error|"
    r"Vault format unhexlify error|A vault password must be specified to decrypt data|Cipher '\w+' could not be found"
)
REWORDED = (
    (
        r"Could not process '(?P<file>.+)': failed to combine variables, .* and a '(?P<kind>\w+)'",
        "variables are given as a mapping, not as a {kind}",
    ),
    (
        r"Skipping unexpected key \((?P<key>.+)\) in group \((?P<group>.+)\), only .*",
        "{key} is not known in the group {group}, which can have vars, children and hosts",
    ),
    (r"Skipping '(?P<key>.+)' as this is not a valid group definition", "{key} is not a group: a group is a mapping"),
    (r"Found both group and host with same name: (?P<key>.+)", "{key} is the name of a group and of a host"),
    (r"Found duplicate mapping key '(?P<key>.+)'", "{key} is given twice"),
    (r"Unable to parse (?P<file>.+) as an inventory source", "there is no inventory in it that Ansible can read"),
    (r"Failed to parse inventory: (?P<rest>.+)", "{rest}"),
)
PLUGINS_OTHERWISE = ("script", "ini", "yaml", "auto")


class Refused(Exception):
    """The inventory cannot be used: one sentence, and where the operator should look."""

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.key = key


@dataclass(frozen=True)
class Heard:
    """One warning, as ansible-core gave it to its Display."""

    message: str
    origin: Origin | None = None
    error: BaseException | None = None
    source: str | None = None

    @property
    def plugin(self) -> str | None:
        failed = re.match(r"Failed to parse inventory with '([\w.]+)' plugin", self.message)
        return failed[1].rpartition(".")[2] if failed else None


class Ears:
    """Stands in for the methods of ansible-core's Display: nothing is printed, everything is kept."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.notes: list[str] = []
        self.source: str | None = None  # what is being parsed just now, as a warning seldom says it

    def listen(self) -> None:
        """From now on. What was said while ansible-core was imported is found in the Display's own memory."""
        display = Display()
        for said in [*display._warns, *display._deprecations]:
            self._warning(None, " ".join(str(said).split()).removeprefix("[WARNING]: "))
        Display.warning = lambda *args, **kwargs: self._warning(*args, **kwargs)
        Display.error_as_warning = lambda *args, **kwargs: self._error_as_warning(*args, **kwargs)
        Display._deprecated_with_plugin_info = lambda _display, *, msg, **_: self.notes.append(msg)
        Display.display = lambda *_, **__: None

    def _warning(
        self, _display: Any, msg: str, formatted: bool = False, *, help_text: str | None = None, obj: Any = None
    ) -> None:
        if msg.startswith(("[DEPRECATION WARNING]", "Deprecation warnings can be disabled", *HARMLESS)):
            self.notes.append(msg)
        else:
            self.heard.append(Heard(msg, origin=origin_of(obj), source=self.source))

    def _error_as_warning(
        self, _display: Any, msg: str | None, exception: BaseException, *, help_text: str | None = None, obj: Any = None
    ) -> None:
        self.heard.append(Heard(msg or str(exception), origin=origin_of(obj), error=exception, source=self.source))

    def forgive(self, message: str) -> None:
        """What turned out to change nothing."""
        self.notes += [each.message for each in self.heard if each.message == message]
        self.heard = [each for each in self.heard if each.message != message]

    def refuse(self) -> None:
        """Raises Refused for the warning that says most, if there was any."""
        if not self.heard:
            return
        _refuse_missing_plugin([each.message for each in self.heard])
        chosen = _most_telling(self.heard)
        if chosen.error is not None:
            raise refusal(chosen.error, source=chosen.source)
        raise _located(chosen.message, chosen.origin, chosen.source)


def origin_of(value: Any) -> Origin | None:
    return value if isinstance(value, Origin) else Origin.get_tag(value)


@cache
def is_vaulted(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(14) == b"$ANSIBLE_VAULT"
    except OSError:
        return False


def refusal(error: BaseException, *, source: str | None = None, key: str | None = None) -> Refused:
    """An exception of ansible-core as a Refused: the innermost place, and what was said there."""
    said, origin = str(error), None
    for each in _causes(error):
        place = origin_of(getattr(each, "obj", None))
        if place is not None and place.path and (origin is None or place.line_num):
            said, origin = str(getattr(each, "message", each)), place
    return _located(said, origin, source, key=key)


def _refuse_missing_plugin(heard: list[str]) -> None:
    """A plugin that the settings enable and that is not installed is no fault of the source that was being read."""
    found = (
        re.fullmatch(r"Failed to load (?P<kind>inventory) plugin, skipping (?P<name>\S+)", said)
        or re.fullmatch(r"Error loading plugin '(?P<name>[^']+)'\.?", said)
        for said in sorted(heard, reverse=True)  # the one that says the kind first
    )
    enabled = (*ansible_constants.VARIABLE_PLUGINS_ENABLED, *ansible_constants.INVENTORY_ENABLED)
    if (about := next((each for each in found if each and each["name"] in enabled), None)) is None:
        return
    kind, name, settings = about.groupdict().get("kind", "vars"), about["name"], ansible_constants.CONFIG_FILE
    collection = f": its collection {name.rpartition('.')[0]} is missing" if name.count(".") > 1 else ""
    lines = [line for line, _ in _places(settings, name)] if settings else []
    raise Refused(
        f"the {kind} plugin {name} is enabled, and cannot be loaded by this Python{collection}",
        file=settings if lines else None,
        line=lines[0] if lines else None,
        key=name,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _most_telling(heard: list[Heard]) -> Heard:
    own_words = [each for each in heard if each.plugin is None and not each.message.startswith(CONSEQUENCES)]
    if own_words:
        return own_words[0]
    failures = {each.plugin: each for each in heard if each.plugin}
    source = heard[0].source or ""
    for plugin in PLUGINS_BY_SUFFIX.get(Path(source).suffix, PLUGINS_OTHERWISE):
        # A plugin's configuration file is YAML as well: there the complaint of `auto` is the useful one.
        if plugin in failures and "Plugin configuration YAML" not in str(failures[plugin].error):
            return failures[plugin]
    return next(iter(failures.values()), heard[0])


def _located(message: str, origin: Origin | None, source: str | None, *, key: str | None = None) -> Refused:
    message, about = _reworded(_one_sentence(message))
    path = about.get("file") or (origin.path if origin is not None else None) or source
    if path and is_vaulted(path) and not about.keys() & {"key", "kind"}:
        # A parser quotes words of the text, of which a part alone is not known to be a secret.
        line = origin.line_num if origin is not None and origin.path == path else None
        said = OF_THE_VAULT.search(message)
        return Refused(said[0] if said else UNREADABLE, file=path, line=line, key=key)
    key = key or about.get("key")
    if origin is not None and origin.path and origin.line_num:
        return Refused(message, file=origin.path, line=origin.line_num, key=key)
    quoted = [key] if key else _quoted(message)
    line, found = _search(path, quoted) if path else (None, None)
    return Refused(message, file=path, line=line, key=found or key)


def _reworded(message: str) -> tuple[str, dict[str, str]]:
    """In our words where ansible-core's say what it does and not what is wrong; and what they are about."""
    for pattern, sentence in REWORDED:
        if said := re.fullmatch(pattern, message):
            return sentence.format(**said.groupdict()), said.groupdict()
    return message, {}


def _one_sentence(message: str) -> str:
    """Without ansible-core's internal type names and its habit of ending sentences in mid-line."""
    message = re.sub(r"<class '(?:[\w.]*\.)?(?:_AnsibleTagged)?(\w+)'>", lambda found: found[1].lower(), message)
    message = re.sub(r"_AnsibleTagged(\w+)", lambda found: found[1].lower(), message)
    return " ".join(message.split()).rstrip(".")


def _quoted(message: str) -> list[str]:
    found = re.findall(r"""['"(\[]([\w.:\-]+)['")\]]|^([\w.\-]+) is |: ([\w.\-]+)$""", message)
    return [name for pair in found for name in pair if name]


def _search(path: str, names: list[str]) -> tuple[int | None, str | None]:
    """Where a name that a message quotes stands, for the many messages that do not say it."""
    places = {name: list(_places(path, name)) for name in names}
    best = min((name for name in places if places[name]), key=lambda name: len(places[name]), default=None)
    return places[best][0] if best is not None else (None, None)


def _places(path: str, name: str) -> Iterator[tuple[int, str]]:
    if Path(path).suffix in PLUGINS_BY_SUFFIX and Path(path).suffix != ".toml":
        try:
            yield from _mentions(DataLoader().load_from_file(path, cache="none"), name, ())
        except Exception:  # noqa: BLE001  (it is only looked at to say where; that it is broken was said already)
            return
    elif Path(path).is_file():
        for number, line in enumerate(Path(path).read_text(errors="replace").splitlines(), 1):
            if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line):
                yield number, name


def _mentions(data: Any, name: str, above: tuple[str | int, ...]) -> Iterator[tuple[int, str]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        for said in (key, value):
            origin = origin_of(said)
            if isinstance(said, str) and said == name and origin is not None and origin.line_num:
                path = (*above, key)
                yield origin.line_num, dotted(str(path[0]), path[1:])
        yield from _mentions(value, name, (*above, key))
