"""What is imported is declared, so that nothing stands on what another package happens to bring along."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"siteproof", "lab", "tests_infra", "benchmarks"}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Top-level module and where it is imported."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                yield name.partition(".")[0], f"{path.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]


def declared(*extras: str) -> set[str]:
    listed = [*PROJECT["dependencies"], *(each for extra in extras for each in PROJECT["optional-dependencies"][extra])]
    return {_normal(re.split(r"[^\w.-]", each)[0]) for each in listed}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("folder", "extras"), [("src", ()), ("tests_infra", ()), ("lab", ()), ("benchmarks", ()), ("tests", ("dev",))]
)
def test_every_import_is_of_a_declared_distribution(folder: str, extras: tuple[str, ...]) -> None:
    brought_by = metadata.packages_distributions()
    beside = {path.stem for path in (ROOT / folder).rglob("*.py")} | OWN
    undeclared = {
        f"{module} ({where})"
        for module, where in imported(ROOT / folder)
        if module not in sys.stdlib_module_names | beside
        and not {_normal(name) for name in brought_by.get(module, [])} & declared(*extras)
    }
    assert undeclared == set()
