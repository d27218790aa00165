"""One host's inventory variables, read with their types."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from siteproof.errors import BadInput

_TRUE = {"true", "yes", "on", "1", "y", "t"}
_FALSE = {"false", "no", "off", "0", "n", "f"}


class Variables:
    """One host's variables; of several spellings the first that is set stands. A bad value is BadInput."""

    def __init__(
        self,
        host: str,
        variables: Mapping[str, Any],
        places: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
    ) -> None:
        """`hidden` names those with a secret in them: a refusal quotes no part of it."""
        self._host = host
        self._variables = variables
        self._places = places or {}
        self._hidden = hidden

    def said(self, name: str) -> str:
        """Whose variable it is and where it was said, as a sentence about it begins."""
        place = self._places.get(name)
        return f"{place}: {self._host}: {name}" if place else f"{self._host}: {name}"

    def names(self, beginning: str) -> list[str]:
        """The variables that are set and begin so."""
        return [name for name in self._variables if name.startswith(beginning) and self.find([name])]

    def find(self, names: Iterable[str]) -> tuple[str, Any] | None:
        return next(((name, value) for name in names if (value := self._variables.get(name)) not in (None, "")), None)

    def bad(self, name: str, wanted: str, value: object) -> BadInput:
        found = "what is vaulted there" if name in self._hidden else repr(value)
        return BadInput(f"{self.said(name)} must be {wanted}, not {found}")

    def text(self, *names: str) -> str | None:
        found = self.find(names)
        if found is None:
            return None
        name, value = found
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.bad(name, "text", "a value that is not shown" if "pass" in name else value)
        return str(value)

    def port(self, *names: str) -> int | None:
        found = self.find(names)
        if found is None:
            return None
        name, value = found
        if isinstance(value, bool) or not str(value).isdecimal() or not 0 < int(value) < 65536:
            raise self.bad(name, "a port from 1 to 65535", value)
        return int(value)

    def seconds(self, *names: str) -> float | None:
        found = self.find(names)
        if found is None:
            return None
        name, value = found
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            raise self.bad(name, "a number of seconds", value) from None
        if not 0 < seconds < 3600:
            raise self.bad(name, "a number of seconds above 0 and below 3600", value)
        return seconds

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._variables.get(name)
        if value is None or value == "":
            return default
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise self.bad(name, "true or false", value)
        return word in _TRUE
