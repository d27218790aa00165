"""A document of dockerd's API, read strictly: what is missing, or of another type, is no answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import ErrorDetails

from siteproof.asks import SWARM_ID
from siteproof.asks.words import Address
from siteproof.errors import ToolFailed, Unparseable
from siteproof.probes.common.sections import Sections, from_json
from siteproof.probes.swarm.model import Unread
from siteproof.text.spelling import dotted

STACK = "com.docker.stack.namespace"


class Document(BaseModel):
    """What is read of an object; its fields have Docker's own names. Further keys are ignored, as Docker adds some.

    A field without a default is one that Docker always writes.
    """

    # Built when the first document is read: a run that asks no swarm does not wait for it.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, defer_build=True)


class Small(Document):
    """An object with no other keys than these: what may be left out of it is not to be taken for gone."""

    model_config = ConfigDict(extra="forbid")


D = TypeVar("D", bound=Document)
K = TypeVar("K")
T = TypeVar("T")


def _one_by_one(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, dict):
        return read(value)
    return {name: each for key, said in value.items() for name, each in read({key: said}).items()}


# They end at the first thing that is wrong. pydantic would collect everything that is, and a host can send a million.
# Go's list or map of nothing is spelt null, [] or {}, or is left out, by version and by who fills it.
Listed = Annotated[list[T], Field(fail_fast=True)]
"""A list that may not be null."""
Items = Annotated[
    list[T], Field(default=[], fail_fast=True), BeforeValidator(lambda value: [] if value is None else value)
]
Entries = Annotated[dict[K, T], WrapValidator(_one_by_one)]
"""A map that may not be null."""
Map = Annotated[
    dict[K, T],
    Field(default={}),
    WrapValidator(_one_by_one),
    BeforeValidator(lambda value: {} if value is None else value),
]
MOST_UNREAD = 20
"""Items of a list that may be odd; more of them are no list of docker's."""


def _id_or_none(value: str) -> str:
    if value and not SWARM_ID.fits(value):
        raise ValueError(f"is not {SWARM_ID.what}")
    return value


def _cidr(value: str) -> str:
    if ":" not in value:
        try:
            IPv4Network(value)
        except ValueError:
            raise ValueError("is not a network") from None
    return value


def address(value: object) -> IPv4Address:
    """An IPv4 address, behind which the length of its network may stand. Raises ValueError for anything else."""
    try:
        return IPv4Interface(value if isinstance(value, str) else "").ip
    except ValueError:
        raise ValueError("is not an address") from None


def any_address(value: object) -> Address:
    """The same of either family."""
    try:
        return ip_interface(value if isinstance(value, str) else "").ip
    except ValueError:
        raise ValueError("is not an address") from None


def _moment(value: object) -> float:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise ValueError("is not a moment")
    return moment.timestamp()


def one_of(known: Sequence[str]) -> AfterValidator:
    """Refuses a text that is none of these."""

    def checked(value: str) -> str:
        if value not in known:
            raise ValueError(f"is none of {', '.join(known)}")
        return value

    return AfterValidator(checked)


Text = Annotated[str, Field(min_length=1)]
SwarmIdOrNone = Annotated[str, AfterValidator(_id_or_none)]
"""An id as swarmkit makes them, or empty."""
SwarmId = Annotated[str, Field(min_length=1), AfterValidator(_id_or_none)]
AddressText = Annotated[Address, PlainValidator(any_address)]
Cidr = Annotated[str, AfterValidator(_cidr)]
"""An IPv4 network; one of IPv6 is left as it is, and `ipv4` leaves it out."""
Moment = Annotated[float, PlainValidator(_moment)]
"""Seconds since the epoch; Docker writes it as RFC 3339 has it."""


def ipv4(subnets: Iterable[str]) -> tuple[IPv4Network, ...]:
    """Those of IPv4 among `Cidr`s."""
    return tuple(IPv4Network(subnet) for subnet in subnets if ":" not in subnet)


def stack(labels: dict[str, str]) -> str:
    """The stack that brought what has these labels; empty if none did."""
    return labels.get(STACK, "")


def document(sections: Sections, name: str) -> Any:
    """The JSON in the section `name`, as plain values. Raises Unparseable where it is none.

    Not by pydantic's own reader, which is laxer: it takes the last of two values that a key has.
    """
    return from_json(sections[name], f"dockerd's API, asked for {name},")


def read(model: type[D], found: object, name: str, *place: int) -> D:
    """`found` as `model` has it. Raises Unparseable, which names the key, and ToolFailed where dockerd refused.

    `place` is where in the document `name` it stands.
    """
    try:
        return model.model_validate(found)
    except ValidationError as error:
        if not place:
            _refuse_message(found, name)
        raise Unparseable(_sentence(name, place, error.errors(include_url=False)[0])) from None


def items(found: object, name: str) -> list[Any]:
    """The items of a list that may be null. Raises Unparseable for anything else, ToolFailed where dockerd refused."""
    if found is None:
        return []
    if not isinstance(found, list):
        _refuse_message(found, name)
        raise Unparseable(f"dockerd's API, asked for {name}, gives no list: {_shown(found)}")
    return found


def read_list(model: type[D], found: object, name: str) -> list[D]:
    """The same of a list of them."""
    return [read(model, each, name, index) for index, each in enumerate(items(found, name))]


def read_each(model: type[D], found: object, name: str, make: Callable[[D], T]) -> tuple[list[T], tuple[Unread, ...]]:
    """What `make` makes of those of a list that can be read, and those that cannot: they make nothing else unknown."""
    made: list[T] = []
    unread: list[Unread] = []
    for index, each in enumerate(items(found, name)):
        try:
            made.append(make(read(model, each, name, index)))
        except Unparseable as error:
            if len(unread) == MOST_UNREAD:
                raise
            unread.append(Unread(name, _named(each), json.dumps(each), error.message))
    return made, tuple(unread)


def _named(found: object) -> str:
    """What it is called, if it says so: by itself, or in its specification."""
    if not isinstance(found, dict):
        return ""
    spec = found.get("Spec")
    name = found.get("Name") or (spec.get("Name") if isinstance(spec, dict) else None)
    return name if isinstance(name, str) else ""


def _refuse_message(found: object, name: str) -> None:
    if isinstance(found, dict) and set(found) == {"message"}:
        raise ToolFailed(f"dockerd's API refused {name}: {found['message']}")


def _sentence(name: str, place: tuple[int, ...], error: ErrorDetails) -> str:
    key = dotted(name, (*place, *error["loc"]))[:200]
    if error["type"] == "missing":
        return f"dockerd's API leaves out {key}"
    if error["type"] == "extra_forbidden":
        return f"dockerd's API gives {key}, which nobody knows"
    if error["type"] in ("model_type", "dict_type"):
        wrong = "should be an object"
    else:
        wrong = error["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")[:300]
    return f"dockerd's API gives {_shown(error['input'])} for {key}, which {wrong}"


def _shown(value: object) -> str:
    return repr(value)[:200]
