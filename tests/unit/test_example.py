"""The example inventory has every family as the family itself shows it, and is one that can be used."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from siteproof.facts import FAMILIES, PREFIX, Family, read_site
from siteproof.facts.declared import read
from siteproof.inventory.inventory import Value, load
from siteproof.previews.example import example, files, main

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "inventories/example"


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_family_shows_is_what_it_takes(name: str) -> None:
    told = yaml.safe_load(example(FAMILIES[name]))
    assert list(told) == [PREFIX + name]
    read(FAMILIES[name], Value(told[PREFIX + name]), name=PREFIX + name)


@pytest.mark.parametrize("name", files())
def test_the_written_one_is_made_of_them(name: str) -> None:
    assert (EXAMPLE / name).read_text() == files()[name], (
        f"{name} is stale: python -m siteproof.previews.example inventories/example"
    )


def test_it_is_an_inventory_that_leaves_nothing_out() -> None:
    site = read_site(load("inventories/example", limit=None, rootpath=PROJECT))
    assert site.undeclared == ()
    assert {*site.families, *site.by_host} == set(FAMILIES)


def test_a_family_that_shows_nothing_is_refused_by_name() -> None:
    class Silent(Family):
        """It does not say how it is declared."""

        name: ClassVar[str] = "silent"

    with pytest.raises(TypeError, match="the docstring of Silent does not show siteproof_silent"):
        example(Silent)


def test_it_wants_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 4
    assert "usage" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.yml")} == set(files())
