"""cat, with sha256sum beside it: the lines of a file."""

from __future__ import annotations

import hashlib
import shlex

from siteproof.asks import Ask, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.sections import section

_AFTER = "== siteproof sum\n"


def file_lines(host: str, path: str) -> Ask[tuple[str, ...]]:
    """The lines of `path` on `host`. What was read is the file only if its checksum says so."""
    quoted = shlex.quote(path)
    return command(
        host,
        f"$ROOT cat -- {quoted} || exit\n{section('sum')}\n$ROOT sha256sum -- {quoted}",
        probe=f"cat {path}",
        parse=parse_lines,
        tools=("cat", "sha256sum"),
        root=True,
    )


def parse_lines(output: Output) -> tuple[str, ...]:
    """The file, a line end that is ours, the mark, and `<64 digits>  <path>`."""
    content, mark, after = output.stdout.rpartition(b"\n" + _AFTER.encode())
    if not mark or after[:64] != hashlib.sha256(content).hexdigest().encode():
        raise Unparseable("what cat printed is not the file that sha256sum saw")
    return tuple(content.decode("utf-8", "replace").splitlines())
