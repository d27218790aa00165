"""`python -m benchmarks.floor INVENTORY`: connect to every host at once and run `true` there, with our transport."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from siteproof.asks import Command, Output
from siteproof.evidence import Store
from siteproof.gather.local import LocalGatherer
from siteproof.transport.connection import Connection


def main(inventory: Path) -> None:
    site = json.loads(inventory.read_text())["all"]
    connections = {n: Connection.from_variables(n, site["vars"] | host) for n, host in site["hosts"].items()}
    questions = [Command(name, "true", 5, "reads", "true") for name in connections]
    with tempfile.TemporaryDirectory(dir=inventory.parent) as directory:
        store = Store(Path(directory))
        gatherer = LocalGatherer(connections, store, "floor", fanout=len(connections))
        begun = time.monotonic()
        gatherer.ask(questions)
        seconds = time.monotonic() - begun
        gatherer.close()
        answered = sum(isinstance(answer := store.get(q), Output) and answer.status == 0 for q in questions)
    print(json.dumps({"answered": answered, "seconds": round(seconds, 3)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
