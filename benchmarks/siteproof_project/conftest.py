"""A site of its own, as an operator has it."""

pytest_plugins = ["siteproof.plugin"]
