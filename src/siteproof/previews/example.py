"""The facts of the example inventory, from the families: `python -m siteproof.previews.example inventories/example`.

A family shows how it is declared behind the first paragraph of its docstring, as YAML with comments. Whoever adds one
has nothing else to write.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from siteproof.facts import FAMILIES, PREFIX, Family

HEADER = """\
# What must be true of your site: every value that a check compares against. Write your own over these.
# This file is made from src/siteproof/facts/ by `python -m siteproof.previews.example inventories/example`.
"""
PLACES = {"site": "group_vars/all/facts.yml", "host": "group_vars/nodes/facts.yml"}
"""Where an inventory has the families of a scope."""


def example(family: type[Family]) -> str:
    """How an inventory declares it: YAML, below its sentence as a comment. Raises TypeError where it does not say."""
    sentence, _, declared = inspect.cleandoc(family.__doc__ or "").partition("\n\n")
    if f"{PREFIX}{family.name}:" not in declared:
        raise TypeError(f"{family.__module__}: the docstring of {family.__name__} does not show {PREFIX}{family.name}")
    return f"# {sentence}\n{declared}\n"


def files() -> Mapping[str, str]:
    """File of the inventory -> its text."""
    of_scope = {scope: [f for f in FAMILIES.values() if f.scope == scope] for scope in PLACES}
    return {PLACES[scope]: "\n".join([HEADER, *map(example, found)]) for scope, found in of_scope.items()}


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or not (folder := Path(arguments[0])).is_dir():
        print("usage: python -m siteproof.previews.example FOLDER", file=sys.stderr)
        return 4
    for name, text in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
