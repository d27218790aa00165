"""What several test modules stand on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sshd import Sshd
from operators_project import Project


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd().start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def key(sshd: Sshd) -> Path:
    return sshd.let_in("operator")


@pytest.fixture
def project(pytester: pytest.Pytester, sshd: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("COLUMNS", "200")
    return Project(pytester, sshd, key)
