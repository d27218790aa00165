"""The suite's one hook into pytest."""

pytest_plugins = ["siteproof.plugin"]
