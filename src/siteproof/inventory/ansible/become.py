"""What ansible.cfg and the environment say of becoming root, for hosts of which the inventory does not say it.

Part of the helper process (`reader`); nothing else imports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.loader import become_loader

_KEYS = {
    "ansible_become_method": ("DEFAULT_BECOME_METHOD", "", ("become_method",)),
    "ansible_become_user": ("DEFAULT_BECOME_USER", "become_user", ("become_user", "user")),
    "ansible_become_exe": ("DEFAULT_BECOME_EXE", "become_exe", ("become_exe", "executable")),
    "ansible_become_flags": ("DEFAULT_BECOME_FLAGS", "become_flags", ("become_flags", "flags")),
}
"""Variable -> the setting for every method, sudo's own option, and their names in ansible.cfg."""


@cache
def settings(method: str | None) -> tuple[tuple[str, Any, str], ...]:
    """Variable, value and place of what is set, for a host of which the inventory names this method, or none."""
    return tuple(_settings(method))


def _settings(method: str | None) -> Iterator[tuple[str, Any, str]]:
    by_all: dict[str, tuple[Any, str]] = {
        name: constants.config.get_config_value_and_origin(setting) for name, (setting, _, _) in _KEYS.items()
    }
    used = method or by_all["ansible_become_method"][0]
    plugin = become_loader.get(used) if used in ("sudo", "ansible.builtin.sudo") else None
    for name, (_, option, keys) in _KEYS.items():
        value, place = by_all[name]
        if plugin is not None and option:
            value, place = constants.config.get_config_value_and_origin(
                option, plugin_type="become", plugin_name="sudo"
            )
        if place != "default" and value not in (None, ""):
            yield name, value, _with_line(str(place), keys)


def _with_line(place: str, keys: tuple[str, ...]) -> str:
    """A file's name with the line, as far as it can be told."""
    path = Path(place)
    if not path.is_file():
        return place.replace("env: ", "$")
    said = re.compile(rf"\s*(?:{'|'.join(keys)})\s*[=:]")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return f"{place}:{next((number for number, line in enumerate(lines, 1) if said.match(line)), 1)}:1"
