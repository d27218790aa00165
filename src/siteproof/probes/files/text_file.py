"""cat, with sha256sum beside it: the lines of a file."""

from __future__ import annotations

import hashlib

from siteproof.asks import PATH, Ask, Host, Output, command
from siteproof.errors import Unparseable
from siteproof.probes.common.owned import OWNED
from siteproof.probes.common.sections import section

_AFTER = "== siteproof sum\n"
# Root follows any link: where somebody else may set one, they would decide which of root's files is shown.
_SCRIPT = f"""\
{OWNED}owned "$path" || exit
$ROOT cat -- "$path" || exit
{section("sum")}
$ROOT sha256sum -- "$path\""""


def file_lines(host: Host, path: str) -> Ask[tuple[str, ...]]:
    """The lines of `path` on `host`. What was read is the file only if its checksum says so.

    A file that others than root could exchange is not read.
    """
    return command(
        host,
        _SCRIPT,
        probe=f"cat {path}",
        parse=parse_lines,
        given={"path": PATH(path)},
        tools=("cat", "sha256sum", "find", "readlink"),
        root=True,
    )


def parse_lines(output: Output) -> tuple[str, ...]:
    """The file, a line end that is ours, the mark, and `<64 digits>  <path>`."""
    content, mark, after = output.stdout.rpartition(b"\n" + _AFTER.encode())
    if not mark or after[:64] != hashlib.sha256(content).hexdigest().encode():
        raise Unparseable("what cat printed is not the file that sha256sum saw")
    return tuple(content.decode("utf-8", "replace").splitlines())
