"""`--hosts=X`, in the order of the table of decisions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from siteproof.errors import BadInput
from siteproof.inventory.inventory import resolve_source


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("inventories/lab/hosts.yml", "inventories/example/hosts.yml", "sub/mine.yml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "sub")
    return tmp_path


def resolve(option: str, root: Path, **environ: str) -> Path | str:
    return resolve_source(option, root, "inventories/lab", environ)


def test_an_existing_path(root: Path) -> None:
    assert resolve("mine.yml", root) == root / "sub/mine.yml"


def test_a_folder_under_inventories_wherever_pytest_was_started(root: Path) -> None:
    assert resolve("example", root) == root / "inventories/example"


def test_a_path_goes_before_a_folder_under_inventories(root: Path) -> None:
    (root / "sub/lab").mkdir()
    assert resolve("lab", root) == root / "sub/lab"


def test_the_word(root: Path) -> None:
    assert resolve("inventory", root) == root / "inventories/lab"


def test_the_word_and_the_environment(root: Path) -> None:
    assert resolve("inventory", root, ANSIBLE_INVENTORY="mine.yml") == root / "sub/mine.yml"
    both = resolve("inventory", root, ANSIBLE_INVENTORY="mine.yml, ../inventories/lab")
    assert both == f"{root}/sub/mine.yml,{root}/sub/../inventories/lab"


def test_a_backend(root: Path) -> None:
    assert resolve("ssh://root@lan1", root) == "ssh://root@lan1"


@pytest.mark.parametrize("option", ["localhost", "10.0.20.1", "lan1,lan2", "", "lab/hosts.yaml"])
def test_anything_else_is_no_host_name(root: Path, option: str) -> None:
    with pytest.raises(BadInput, match=re.escape(f"--hosts={option}: not an existing path")):
        resolve(option, root)


def test_the_nearest_name_is_offered(root: Path) -> None:
    with pytest.raises(BadInput, match="inventories/ has example, lab.*did you mean `example`"):
        resolve("exampel", root)


def test_an_environment_that_names_nothing(root: Path) -> None:
    with pytest.raises(BadInput, match=r"\$ANSIBLE_INVENTORY says nope, and there is no .*/nope"):
        resolve("inventory", root, ANSIBLE_INVENTORY="nope")


def test_no_default_at_all(root: Path) -> None:
    with pytest.raises(BadInput, match="nor the ini option"):
        resolve_source("inventory", root, None, {})
