"""What a run writes is for its owner alone, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import pytest
from operators_project import Project

pytest_plugins = "pytester"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_every_file_and_folder_of_a_run_is_private(project: Project) -> None:
    assert project.run("-n2").ret == 0
    made = [project.pytester.path / "reports", *(project.pytester.path / "reports").rglob("*")]
    open_ = {
        str(p): oct(p.lstat().st_mode) for p in made if not p.is_symlink() and stat.S_IMODE(p.stat().st_mode) & 0o77
    }
    assert open_ == {}
