"""What the probes run as root, word by word, and the sudoers fragment that allows exactly that.

The scripts themselves say it: everything after `$ROOT`. Variables that the script sets to something fixed are put in.
A word that is only known on the host is refused, unless its probe declares a glob for the variable that holds it.
What may run at all is listed in `root_tools`.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from siteproof.asks import Command
from siteproof.errors import BadInput
from siteproof.previews.root_tools import doubtful, reason_against
from siteproof.transport.batch import whole_deadline_s

DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")
"""Where a tool may be. All belong to root, so an entry for a path that is not there allows nothing."""
ACCESS = ("id", "-u")
"""What `--check-access` runs as root."""
ENVIRONMENT = "!requiretty, env_reset, !env_keep, !setenv, always_set_home"
"""Nothing of the login user's but the language comes through, whatever the site lets others keep: tools read HOME."""
SPARE_S = 1
"""sudo's own limit comes after the probe's deadline, and before the batch gives the command up."""

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_ASSIGNMENT = re.compile(r"(?:^|(?<=[\s;({]))(\w+)=((?:'[^']*'|\"[^\"]*\"|[^\s;'\"|&()<>])*)", re.MULTILINE)
_DEFAULT = re.compile(r"\$\{\w+:-([^}$]*)\}")
_READ = re.compile(r"(?:^|[\s;{(])read (?:-r )?((?:[A-Za-z_]\w*[ \t]*)+)", re.MULTILINE)
_LOOP = re.compile(r"(?:^|[\s;])for (\w+) in ((?:\\\n|[^;\n])*)")
_POSITIONAL = re.compile(r"\Aneed .*\n(?:\w+=.*\n)*set --(.*)\n")
"""What the script is given as `$@`, before its own text."""
_OTHER_POSITIONAL = re.compile(r"(?:^|[\s;({&|])(?:set|shift)(?:[\s;]|$)", re.MULTILINE)
_WORD = re.compile(r"""(?:\\\n|[ \t])*((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\[^\n]|[^\s'"\\|;&<>()`])+)""")
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_REDIRECTION = re.compile(r"[ \t]*\d*[<>]")
_OPEN = re.compile(r"[$`‹]")
"""Words that are not fixed: what the shell puts in, and what an earlier answer will (see `stand_ins`)."""

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")
_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_SUDOERS = re.compile(r"[A-Z][A-Z0-9_]*|Defaults|(?:User|Runas|Host|Cmnd|Cmd)_Alias")
"""What sudoers takes for something else than a name: ALL, an alias of the site's, the beginning of another entry."""

Words = tuple[str, ...]
"""A command line as fnmatch has it: what means itself although it is special there has a backslash before it."""


@dataclass(frozen=True)
class Grant:
    """One command line that one host runs as root."""

    words: Words
    limit_s: int

    def lines(self) -> Iterator[str]:
        """As sudoers has it, for each place where the tool may be."""
        tool, *arguments = self.words
        said = " ".join(_escaped(word) for word in arguments) or '""'
        places = (tool,) if tool.startswith("/") else (f"{directory}/{tool}" for directory in DIRECTORIES)
        return (f"{_escaped(place)} {said}" for place in places)

    @property
    def doubtful(self) -> list[str]:
        return doubtful([re.sub(r"\\(.)", r"\1", word) for word in self.words])


def root_commands(command: Command) -> list[Words]:
    """Every command line of a script that follows `$ROOT`. Raises BadInput where one is only known on the host."""
    if not command.root:
        return []
    script = _COMMENT.sub("", command.script)
    values, globs = _values(script, command.deadline_s), _globs(command)
    found: dict[Words, None] = {}
    given = _given(script)
    for match in re.finditer(r"\$ROOT(?=\s)|\$\{ROOT\}(?=\s)", script):
        spelt = (own for word in _words(script, match.end()) for own in (given if word == "$@" else (word,)))
        for words in _readings(tuple(spelt), globs | values):
            found[_harmless(command, words)] = None
    return list(found)


def _given(script: str) -> list[str]:
    """What `$@` stands for, in words that are then taken literally; itself where that cannot be told."""
    first = _POSITIONAL.match(script)
    if first is None or _OTHER_POSITIONAL.search(script, first.end()):
        return ["$@"]
    return shlex.split(first[1])


def _values(script: str, deadline_s: float) -> dict[str, frozenset[str]]:
    """Variable -> whatever it may hold when it is read, where the script alone decides that."""
    assigned: dict[str, set[str]] = {"DEADLINE": {f"{deadline_s:g}"}}
    for name, value in _ASSIGNMENT.findall(script):
        assigned.setdefault(name, set()).add("".join(shlex.split(_DEFAULT.sub(r"\1", value))))
    for name, listed in _LOOP.findall(script):
        assigned.setdefault(name, set()).update(listed.replace("\\\n", " ").split())
    read = {name for names in _READ.findall(script) for name in names.split()}
    fixed = {n: values - {""} for n, values in assigned.items() if n not in read and not any(map(_OPEN.search, values))}
    return {name: frozenset(map(_literal, values)) for name, values in fixed.items() if values}


def _globs(command: Command) -> dict[str, frozenset[str]]:
    """Variable -> what its probe declares that it may hold."""
    declared: dict[str, set[str]] = {}
    for name, glob in command.root_patterns:
        declared.setdefault(name, set()).add(glob)
    return {name: frozenset(globs) for name, globs in declared.items()}


def _literal(text: str) -> str:
    return re.sub(r"([*?\[\]\\!])", r"\\\1", text)


def _readings(words: Words, values: Mapping[str, frozenset[str]]) -> Iterator[Words]:
    """The words with every value that their variables may have."""
    names = {name for word in words for pair in _VARIABLE.findall(word) if (name := pair[0] or pair[1]) in values}
    ordered = sorted(names)
    for chosen in itertools.product(*(sorted(values[name]) for name in ordered)):
        yield tuple(_with(dict(zip(ordered, chosen, strict=True)), word) for word in words)


def _with(known: Mapping[str, str], word: str) -> str:
    """The word, its variables replaced where they are known."""
    filled, end = "", 0
    for match in _VARIABLE.finditer(word):
        filled += _literal(word[end : match.start()]) + known.get(match[1] or match[2], match[0])
        end = match.end()
    return filled + _literal(word[end:])


def _harmless(command: Command, words: Words) -> Words:
    said = f"{command.probe} runs `{' '.join(words)}` as root"
    if any(map(_OPEN.search, words)):
        raise BadInput(
            f"{said}, of which only the host knows the words: "
            "its probe has to declare a glob for the variable (root_patterns), or to use fixed words"
        )
    if why := reason_against(words):
        raise BadInput(f"{said}: {why}")
    return words


def _words(script: str, at: int) -> Iterator[str]:
    while not _REDIRECTION.match(script, at) and (match := _WORD.match(script, at)):
        yield "".join(shlex.split(match[1]))
        at = match.end()


def _escaped(word: str) -> str:
    """A word as sudoers has it, which takes one backslash before it matches as fnmatch does, but not those of globs."""
    return re.sub(r"\\\\|[,:=#]", lambda match: r"\\\\" if match[0] == r"\\" else f"\\{match[0]}", word)


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


def _shown(host: str) -> str:
    """The inventory's name of it, which may be any text, without what would end a comment or go on behind it."""
    return host if re.fullmatch(r"[\w.:-]+", host) else ascii(host)


def _one_name(host: str, kind: str, name: str, form: re.Pattern[str]) -> None:
    """What else stands in an inventory would be written as root's own words, and be more than was asked for."""
    if not form.fullmatch(name) or _OF_SUDOERS.fullmatch(name):
        raise BadInput(f"--sudoers: the {kind} of {_shown(host)}, {name!r}, is not a name that sudoers takes for one")


def fragment(granted: Mapping[str, Sequence[Grant]], users: Mapping[str, str], hostnames: Mapping[str, str]) -> str:
    """The sudoers file: for all hosts the same, since each line holds on one host alone.

    sudo compares the arguments joined by blanks, so the login user chooses where one word ends. What begins with a
    blank's neighbour may then be a path relative to their own directory: CWD=/ leaves them none that is not root's.
    What may be joined to what is the business of `root_tools`.

    `users` are the login users; root needs nothing. `hostnames` are what the hosts call themselves. Raises BadInput
    where one of them would be anything but one name to sudo.
    """
    lines = [
        "# What siteproof runs as root, and nothing else: made by `pytest --sudoers`, never edited.",
        "# Install as /etc/sudoers.d/zz-siteproof (root:root, 0440) after `visudo -cf FILE`, on no sudo before 1.9.3:",
        "# an older one takes no CWD, without which the words below would give away more, and then refuses everything.",
        "# It is read last there: a `Defaults` that came after these would have the last word on the environment.",
    ]
    limited = {host: each for host, each in granted.items() if users[host] != "root"}
    for host in limited:
        _one_name(host, "login user", users[host], _USER)
        _one_name(host, "host name", hostnames[host], _HOSTNAME)
    for user in sorted({users[host] for host in limited}):
        lines += ["", f'Defaults:{user} {ENVIRONMENT}, secure_path="{":".join(DIRECTORIES)}"']
    for host, each in limited.items():
        user = users[host]
        lines += ["", f"# {_shown(host)}"]
        if unsure := sorted({path for grant in each for path in grant.doubtful}):
            lines.append(f"# Only if root alone can change these and all above them: {', '.join(map(repr, unsure))}")
        for grant in each:
            allowed = ", \\\n    ".join(grant.lines())
            options = f"CWD=/ TIMEOUT={grant.limit_s} NOPASSWD:"
            lines.append(f"{user} {hostnames[host]} = (root) {options} \\\n    {allowed}")
    return "\n".join(lines) + "\n"
