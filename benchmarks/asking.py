"""`python -m benchmarks.asking WAY INVENTORY`: ask every host everything, with our transport and without pytest.

WAY is `floor` (connect and run `true`), `round` (one round), `execs` (an exec per command, one after another, as
testinfra does) or `execs-at-once` (the same with all hosts beside each other).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import workload
from siteproof.asks import Command, Output
from siteproof.evidence.store import Store
from siteproof.gather.local import LocalGatherer
from siteproof.transport.connection import Connection
from siteproof.transport.ssh import ssh_config
from siteproof.transport.ssh.dial import Dialer

LINES = workload.commands(workload.SITEPROOF / "tests_infra/test_hosts.py")


def in_a_round(connections: Mapping[str, Connection], lines: list[str], directory: Path) -> int:
    """One round; how many commands were answered."""
    questions = [Command(name, line, 5, "reads", line) for name in connections for line in lines]
    store = Store(directory)
    gatherer = LocalGatherer(connections, store, "benchmark", fanout=len(connections))
    gatherer.ask(questions)
    gatherer.close()
    return sum(isinstance(answer := store.get(q), Output) and answer.status == 0 for q in questions)


def with_execs(connections: Mapping[str, Connection], *, at_once: int) -> int:
    with ThreadPoolExecutor(at_once) as pool:
        return sum(pool.map(_with_execs, connections.values()))


def _with_execs(connection: Connection) -> int:
    dialer = Dialer()
    transport = dialer.dial(ssh_config.resolve(connection))
    answered = 0
    for line in LINES:
        channel = transport.open_session()
        channel.exec_command(line)
        channel.makefile("rb").read()
        channel.makefile_stderr("rb").read()
        answered += channel.recv_exit_status() == 0
    transport.close()
    dialer.close()
    return answered


def main(way: str, inventory: Path) -> None:
    site = json.loads(inventory.read_text())["all"]
    connections = {n: Connection.from_variables(n, site["vars"] | host) for n, host in site["hosts"].items()}
    with tempfile.TemporaryDirectory(dir=inventory.parent) as directory:
        begun = time.monotonic()
        if way == "floor":
            answered = in_a_round(connections, ["true"], Path(directory))
        elif way == "round":
            answered = in_a_round(connections, LINES, Path(directory))
        else:
            answered = with_execs(connections, at_once=len(connections) if way == "execs-at-once" else 1)
        seconds = time.monotonic() - begun
    print(json.dumps({"answered": answered, "seconds": round(seconds, 3)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
