"""What the probes run as root, word by word, and the sudoers fragment that allows exactly that.

The scripts themselves say it: everything after `$ROOT`. Variables that the script sets once, to something fixed, are
put in. A command that is only known on the host is refused, unless its probe declares a pattern for it.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from siteproof.asks import Command
from siteproof.errors import BadInput
from siteproof.transport.batch import whole_deadline_s

DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")
"""Where a tool may be. All belong to root, so an entry for a path that is not there allows nothing."""
SHELLS = frozenset({"sh", "bash", "dash", "ash", "env", "xargs"})
ACCESS = ("id", "-u")
"""What `--check-access` runs as root."""
SPARE_S = 1
"""sudo's own limit comes after the probe's deadline, and before the batch gives the command up."""

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_ASSIGNMENT = re.compile(r"(?:^|(?<=[\s;({]))(\w+)=((?:'[^']*'|\"[^\"]*\"|[^\s;'\"|&()<>])*)", re.MULTILINE)
_DEFAULT = re.compile(r"\$\{\w+:-([^}$]*)\}")
_LOOP = re.compile(r"(?:^|[\s;])for (\w+) in ([^;\n]*)")
_WORD = re.compile(r"""(?:\\\n|[ \t])*((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\[^\n]|[^\s'"\\|;&<>()`])+)""")
_REDIRECTION = re.compile(r"[ \t]*\d*[<>]")
_OPEN = re.compile(r"[$`‹]")
"""Words that are not fixed: what the shell puts in, and what an earlier answer will (see `templates`)."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class Grant:
    """One command line that one host runs as root."""

    words: Words
    limit_s: int

    def lines(self) -> Iterator[str]:
        """As sudoers has it, for each place where the tool may be."""
        tool, *arguments = self.words
        said = " ".join(_escaped(word) for word in arguments) or '""'
        return (f"{directory}/{_escaped(tool)} {said}" for directory in DIRECTORIES)


def root_commands(command: Command) -> list[Words]:
    """Every command line of a script that follows `$ROOT`. Raises BadInput where one is only known on the host."""
    if not command.root:
        return []
    values = _values(command)
    found: dict[Words, None] = {}
    for match in re.finditer(r"\$ROOT(?=\s)|\$\{ROOT\}(?=\s)", command.script):
        if not _is_comment(command.script, match.start()):
            for words in _readings(tuple(_words(command.script, match.end())), values):
                found[_checked(command, words)] = None
    return list(found)


def _values(command: Command) -> Mapping[str, frozenset[str]]:
    """Variable -> whatever it may hold when it is read, where the script alone decides that."""
    assigned: dict[str, set[str]] = {"DEADLINE": {f"{command.deadline_s:g}"}}
    for name, value in _ASSIGNMENT.findall(command.script):
        assigned.setdefault(name, set()).add("".join(shlex.split(_DEFAULT.sub(r"\1", value))))
    for name, listed in _LOOP.findall(command.script):
        assigned.setdefault(name, set()).update(listed.split())
    return {name: frozenset(values - {""}) for name, values in assigned.items() if not any(map(_OPEN.search, values))}


def _readings(words: Words, values: Mapping[str, frozenset[str]]) -> Iterator[Words]:
    """The words with every value that their variables may have."""
    names = {name for word in words for pair in _VARIABLE.findall(word) if (name := pair[0] or pair[1]) in values}
    ordered = sorted(names)
    for chosen in itertools.product(*(sorted(values[name]) for name in ordered)):
        yield tuple(_with(dict(zip(ordered, chosen, strict=True)), word) for word in words)


def _with(known: Mapping[str, str], word: str) -> str:
    return _VARIABLE.sub(lambda match: known.get(match[1] or match[2], match[0]), word)


def _checked(command: Command, words: Words) -> Words:
    if any(map(_OPEN.search, words)):
        return _pattern_for(command, words)
    if words[0] in SHELLS:
        raise BadInput(f"{command.probe} runs `{' '.join(words)}` as root: whoever may do that may do anything")
    return words


def _is_comment(script: str, at: int) -> bool:
    return script[script.rfind("\n", 0, at) + 1 : at].lstrip().startswith("#")


def _words(script: str, at: int) -> Iterator[str]:
    while not _REDIRECTION.match(script, at) and (match := _WORD.match(script, at)):
        yield "".join(shlex.split(match[1]))
        at = match.end()


def _pattern_for(command: Command, words: Words) -> Words:
    said = " ".join(words)
    for pattern in command.root_patterns:
        if fnmatchcase(said, pattern):
            return tuple(pattern.split())
    raise BadInput(
        f"{command.probe} runs `{said}` as root, of which only the host knows the words: "
        "its probe has to declare a pattern (root_patterns), or to use fixed words"
    )


def _escaped(word: str) -> str:
    """sudoers reads `,:=\\` itself and the rest of these as a pattern; a lone `*` is one on purpose."""
    return word if word == "*" else re.sub(r"([,:=\\*?\[\]!#])", r"\\\1", word)


def grants(commands: Iterable[Command]) -> dict[str, list[Grant]]:
    """Host -> what it runs as root, each once, with the longest limit that one of its probes has.

    Raises BadInput with a sentence for each probe of which that cannot be said.
    """
    limits: dict[str, dict[Words, int]] = {}
    refused: dict[str, None] = {}
    for command in commands:
        try:
            every = root_commands(command)
        except BadInput as error:
            refused[str(error)] = None
            continue
        for words in every:
            known = limits.setdefault(command.host, {ACCESS: 5 + SPARE_S})
            known[words] = max(known.get(words, 0), whole_deadline_s(command) + SPARE_S)
    if refused:
        raise BadInput("\n".join(refused))
    return {host: [Grant(*item) for item in sorted(known.items())] for host, known in sorted(limits.items())}


def fragment(granted: Mapping[str, Sequence[Grant]], users: Mapping[str, str], hostnames: Mapping[str, str]) -> str:
    """The sudoers file: for all hosts the same, since each line holds on one host alone.

    `users` are the login users; root needs nothing. `hostnames` are what the hosts call themselves.
    """
    lines = [
        "# What siteproof runs as root, and nothing else: made by `pytest --sudoers`, never edited.",
        "# Install as /etc/sudoers.d/siteproof (root:root, 0440) after `visudo -cf FILE`.",
    ]
    limited = {host: each for host, each in granted.items() if users[host] != "root"}
    for user in sorted({users[host] for host in limited}):
        lines += ["", f'Defaults:{user} !requiretty, secure_path="{":".join(DIRECTORIES)}"']
    for host, each in limited.items():
        user = users[host]
        lines += ["", f"# {host}"]
        for grant in each:
            allowed = ", \\\n    ".join(grant.lines())
            lines.append(f"{user} {hostnames[host]} = (root) TIMEOUT={grant.limit_s} NOPASSWD: \\\n    {allowed}")
    return "\n".join(lines) + "\n"
