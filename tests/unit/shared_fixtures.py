"""Fixtures that several test modules stand on; `tests/conftest.py` hands them to all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from local_sshd import Sshd
from operators_project import Project

# How long a busy machine takes says nothing of what is tested.
settings.register_profile("siteproof", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("siteproof")


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
