"""pytest's side: what a run of pytest does for the operator. `hooks` are the hooks, the rest is what they call."""

pytest_plugins = ["siteproof.plugin.hooks"]
