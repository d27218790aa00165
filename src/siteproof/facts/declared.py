"""Facts as strict models that know where each of their fields was said, and that notice being cited.

`read` turns a variable of the inventory into a model or refuses it with file, line, key and the nearest spelling.
While a check runs, every field it reads is appended to `CITED`, so that a finding can say which line of the inventory
declared the expected value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from siteproof.errors import BadInput
from siteproof.inventory.inventory import Value
from siteproof.text.spelling import Part, did_you_mean, dotted, nearest, pointer

__all__ = ["CITED", "Citation", "Declared", "declared_at", "nearest", "read", "read_all"]

M = TypeVar("M", bound="Declared")


@dataclass(frozen=True)
class Citation:
    """A fact that was read: `siteproof_dns.names[0].internal`, its value, and the `file:line` that says so."""

    key: str
    value: Any
    origin: str


CITED: ContextVar[list[Citation] | None] = ContextVar("CITED", default=None)
"""Set to a list while a check is judged; None otherwise, and then reading a fact costs next to nothing."""


class _Where(NamedTuple):
    """Which part of which variable a model was read from."""

    name: str
    source: Value
    parts: tuple[Part, ...]


class Declared(BaseModel):
    """Base of every fact: frozen, and refusing what it does not know.

    `read` validates strictly, as JSON: "1400" is not a number and 1 is not true, but addresses, networks and dates
    come from strings, and tuples from lists. Two facts are equal when their values are, wherever they were said.
    """

    # Built when first read: what is only a part of another fact is built with that one, and not by itself too.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    __slots__ = ("_siteproof_where",)  # not a field and not a private attribute, which would take part in `==`

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            setattr(cls, name, _CitedField(name, field.alias or name))

    def origin(self, key: str) -> str:
        """The `file:line` that says `key` of these facts, or what is nearest around it; "" for facts made by hand."""
        where = _where(self)
        return where.source.line(pointer((*where.parts, key))) if where else ""

    def path(self, key: str) -> str:
        """The whole name of `key` of these facts: `siteproof_dns.names[0].internal`."""
        where = _where(self)
        return dotted(where.name, (*where.parts, key)) if where else key


class _CitedField:
    """Gives the field's value, and cites it where somebody keeps a list.

    A descriptor on the class instead of `__getattribute__`: everything else about a model stays as fast as it was.
    """

    def __init__(self, name: str, alias: str) -> None:
        self._name = name
        self._alias = alias

    def __get__(self, model: Declared | None, owner: type[Declared]) -> Any:
        if model is None:
            # As pydantic has it: a field is no attribute of the class. Else a subclass takes this for its default.
            raise AttributeError(self._name)
        try:
            value = model.__dict__[self._name]
        except KeyError:
            raise AttributeError(self._name) from None
        cited = CITED.get()
        if cited is not None and _where(model) is not None:
            cited.append(Citation(model.path(self._alias), value, model.origin(self._alias)))
        return value

    def __set__(self, model: Declared, value: Any) -> None:
        """Makes this a data descriptor, which goes before the model's own `__dict__`."""
        raise AttributeError(f"{self._name} is a declared fact and cannot be set")


def read(model: type[M], value: Value, *, name: str) -> M:
    """The variable `name` as `model`.

    Raises BadInput with one line for each problem of the variable, in the order of the file.
    """
    fact: M = _validated(TypeAdapter(model), model, value, name)
    return fact


def read_all(model: type[M], value: Value, *, name: str) -> tuple[M, ...]:
    """The variable `name`, a list, as facts of the kind `model`. Raises BadInput as `read` does."""
    facts: tuple[M, ...] = _validated(TypeAdapter(tuple[model, ...]), model, value, name)  # type: ignore[valid-type]
    return facts


def _validated(adapter: TypeAdapter[Any], model: type[Declared], value: Value, name: str) -> Any:
    try:
        fact = adapter.validate_json(json.dumps(value.value), strict=True)
    except ValidationError as error:
        problems = [_problem(model, value, name, each) for each in error.errors(include_url=False)]
        raise BadInput("\n".join(text for _, text in sorted(problems, key=lambda problem: problem[0]))) from None
    _remember(fact, name, value, ())
    return fact


def declared_at(citations: Sequence[Citation], expected: Any) -> str | None:
    """Where the expected value of a finding was declared, as `file:line`; None where no fact that was read says it.

    `expected` is the part of the expectation that differs. Meant is the citation that is it, else one that equals it,
    else one that is a part of it, or that it is a part of. Of several the one that was read last.
    """
    values = frozenset(_leaves(expected))
    keys = frozenset(map(str, expected)) if isinstance(expected, Mapping) else frozenset()
    tests: tuple[Callable[[Any, frozenset[str]], bool], ...] = (
        lambda value, _: value is expected,
        lambda value, _: _same(value, expected),
        lambda _, said: said == values,
        lambda _, said: said < values,
        lambda _, said: said > values,
        lambda _, said: bool(said & keys),
    )
    said = [(citation, frozenset(_leaves(citation.value))) for citation in reversed(citations)]
    for test in tests:
        for citation, leaves in said:
            # What is empty is a part of everything, and says nothing.
            if leaves and values and test(citation.value, leaves):
                return citation.origin
    return None


def _leaves(value: Any) -> Iterator[str]:
    """What a value is made of, as declared: the address 10.0.20.203 is what the text "10.0.20.203" says."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, Collection) or isinstance(value, str | bytes):
        try:
            text = str(value)
        except Exception:  # noqa: BLE001 - what a check compares may be anything
            return
        if text and value is not None:
            yield text
        return
    for each in value:
        yield from _leaves(each)


def _where(model: Declared) -> _Where | None:
    where: _Where | None = getattr(model, "_siteproof_where", None)
    return where


def _remember(fact: Any, name: str, source: Value, parts: tuple[Part, ...]) -> None:
    """Tells every model below `fact` where it was said."""
    if isinstance(fact, Declared):
        object.__setattr__(fact, "_siteproof_where", _Where(name, source, parts))
        for field, info in type(fact).model_fields.items():
            _remember(fact.__dict__[field], name, source, (*parts, info.alias or field))
    elif isinstance(fact, Mapping):
        for key, each in fact.items():
            _remember(each, name, source, (*parts, str(key)))
    elif isinstance(fact, (list, tuple)):
        for index, each in enumerate(fact):
            _remember(each, name, source, (*parts, index))


class _Order(NamedTuple):
    file: str
    line: int


def _problem(model: type[Declared], value: Value, name: str, error: ErrorDetails) -> tuple[_Order, str]:
    parts = _parts(value.value, error["loc"], missing=error["type"] == "missing")
    place = value.origin(pointer(parts))
    line = value.line(pointer(parts))
    sentence = _sentence(model, dotted(name, parts), parts, error)
    file, _, number = line.partition(" (")[0].rpartition(":")
    order = _Order(file or place, int(number) if number.isdigit() else 0)
    return order, f"{line}: {sentence}" if line else sentence


def _sentence(model: type[Declared], key: str, parts: tuple[Part, ...], error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return f"{key} is not known{did_you_mean(str(parts[-1]), _known(model, parts[:-1]))}"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = (
        message.replace("a valid dictionary", "a mapping")
        .replace("an object", "a mapping")
        .replace("a valid tuple", "a list")
    )
    if message.startswith("Input should be "):
        return f"{key} should be {message.removeprefix('Input should be ')}, not {_shown(error['input'])}"
    return f"{key}: {message[:1].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "empty" if value is None else json.dumps(value, default=str)


def _parts(value: Any, location: Sequence[Part], *, missing: bool) -> tuple[Part, ...]:
    """The path within the value: pydantic's location also names members of unions and validators on its way."""
    parts: list[Part] = []
    for step in location:
        if isinstance(value, Mapping) and step in value or isinstance(value, list) and isinstance(step, int):
            parts.append(step)
            value = value[step]  # type: ignore[index]
    if missing:
        parts.append(location[-1])
    return tuple(parts)


def _known(model: type[Declared], parts: Sequence[Part]) -> set[str]:
    """The names of the fields of whatever stands at this path of the model."""
    models = {model}
    for part in parts:
        if isinstance(part, str):
            fields = [
                field for each in models for name, field in each.model_fields.items() if (field.alias or name) == part
            ]
            models = {found for field in fields for found in _models(field.annotation)} or models
    return {field.alias or name for each in models for name, field in each.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[Declared]]:
    if isinstance(annotation, type) and issubclass(annotation, Declared):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _same(left: Any, right: Any) -> bool:
    """Equal as declared: the address 10.0.20.203 is what the text "10.0.20.203" says, but 1 is not true."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    try:
        return bool(left == right) or str(left) == str(right)
    except Exception:  # noqa: BLE001  (what a check compares may refuse to be compared; then it is not the same)
        return False
