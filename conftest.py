"""The suite's one hook into pytest."""

from __future__ import annotations

import pytest

pytest_plugins = ["siteproof.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis' plugin is for this project's own tests: at the end of every run it imports all of Hypothesis."""
    if config.getoption("hosts", None) and config.pluginmanager.has_plugin("hypothesispytest"):
        config.pluginmanager.unregister(name="hypothesispytest")
