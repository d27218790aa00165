"""One variable of an inventory: its templates rendered by ansible-core, and the place of each part of the result.

Part of the helper process (`reader`); nothing else imports it.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible._internal._templating._engine import TemplateEngine
from ansible.errors import AnsibleError, AnsibleValueOmittedError
from ansible.parsing.vault import EncryptedString

from siteproof.inventory.ansible.trouble import Refused, origin_of, refusal
from siteproof.text.spelling import Part, dotted, pointer

OMITTED = object()  # what "{{ omit }}" leaves: nothing


class Rendering:
    """One variable as plain JSON. `origins` has, by JSON pointer, the place where a value stands, and behind it the
    place of the variable it came from where a template said only "{{ other }}"."""

    def __init__(self, name: str, engine: TemplateEngine) -> None:
        self.origins: dict[str, list[str]] = {}
        self._name = name
        self._engine = engine

    def render(self, raw: Any) -> Any:
        place = place_of(self._name, raw)
        return self._render(raw, (), place)

    def _render(self, raw: Any, parts: tuple[Part, ...], place: Origin | None) -> Any:
        """What the inventory says literally; its templates are rendered on the way down."""
        if isinstance(raw, (dict, list, tuple)):
            self._note(parts, place)
            return self._container(raw, parts, place, self._render)
        if isinstance(raw, EncryptedString) or is_template(raw):
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
            named = [(self._key(key, parts, place), each, place_of(key, each)) for key, each in value.items()]
            rendered = {name: render(each, (*parts, name), where or place) for name, each, where in named}
            return {name: each for name, each in rendered.items() if each is not OMITTED}
        items: list[Any] = []
        for each in value:
            item = render(each, (*parts, len(items)), origin_of(each) or place)
            items += [item] if item is not OMITTED else []
        return items

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


def place_of(key: Any, value: Any) -> Origin | None:
    """Where `key: value` stands: at its key, because the value of a block begins on a later line."""
    said, own = origin_of(key), origin_of(value)
    if said is None or own is None:
        return own or said
    return said if said.path == own.path else own


def _text(origin: Origin | None) -> str | None:
    if origin is None or not origin.path:
        return None
    return ":".join(str(part) for part in (origin.path, origin.line_num, origin.col_num) if part)


def is_template(raw: Any) -> bool:
    return isinstance(raw, str) and ("{" in raw or raw.startswith("#jinja2:"))
