"""The `host` fixture: testinfra's own Host, asking through the run's connection."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult

from siteproof.asks import Question, refuse_no_answer
from siteproof.errors import BadInput
from siteproof.suite import Suite

LIVE_DEADLINE_S = 30.0


def host_parameters(module: ModuleType, suite: Suite) -> list[str]:
    """The hosts of a module of plain checks: `testinfra_hosts` lists inventory patterns; without it, all hosts."""
    patterns = getattr(module, "testinfra_hosts", ["all"])
    try:
        return list(dict.fromkeys(h for pattern in patterns for h in suite.site.inventory.match(pattern)))
    except BadInput as error:
        raise BadInput(f"{module.__file__}: testinfra_hosts: {error}") from None


class LiveBackend(BaseBackend):  # type: ignore[misc]
    """Runs testinfra's commands on a host as they come. Raises ProbeError where testinfra would make an answer up."""

    NAME = "siteproof"

    def __init__(self, name: str, suite: Suite) -> None:
        super().__init__(name)
        self._suite = suite

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        # host.sudo() replaces get_command on the instance.
        line = self.get_command(command, *args)
        if self._suite.gatherer is None:
            raise BadInput("nothing is connected to, so no command can run")
        output = self._suite.gatherer.run(self.hostname, line, LIVE_DEADLINE_S)
        asked = Question(self.hostname, line, LIVE_DEADLINE_S, "reads")
        if output.status in (126, 127):
            refuse_no_answer(asked, output, frozenset())
        return self.result(output.status, line.encode(), output.stdout, output.stderr)


def live_host(name: str, suite: Suite) -> testinfra.host.Host:
    """testinfra's Host for one host of the inventory."""
    backend = LiveBackend(name, suite)
    found = testinfra.host.Host(backend)
    backend.set_host(found)
    return found
