"""git: who made a repository's commits, and which of its files hold what looks like a secret.

With the rights of the repository's owner, and of the repository git sees the objects alone (see the scripts). Secrets
are looked for on the host, and only the names of files leave it.
"""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass
from importlib import resources

from siteproof.asks import PATH, Ask, Host, Output, command
from siteproof.errors import NoControl, PrivilegeRefused, Unparseable
from siteproof.probes.common.sections import readable, split, whole_number

VERSION = {"git": "git --version"}

# Forms that only a secret has: a private key's first line, the prefixes that issuers give their tokens, a password in
# a URL.
SECRETS = (
    "-----BEGIN ([A-Z]+ )?PRIVATE KEY-----",
    "AGE-SECRET-KEY-1[0-9A-Z]{58}",
    "(^|[^0-9A-Za-z])(AKIA|ASIA)[0-9A-Z]{16}([^0-9A-Z]|$)",
    "(^|[^0-9A-Za-z])gh[opsur]_[0-9A-Za-z]{36}",
    "(^|[^0-9A-Za-z])github_pat_[0-9A-Za-z_]{60}",
    "(^|[^0-9A-Za-z])glpat-[0-9A-Za-z_-]{20}",
    "(^|[^0-9A-Za-z])xox[abprs]-[0-9A-Za-z-]{10}",
    "(^|[^0-9A-Za-z])dp\\.(pt|st|ct|sa)\\.[0-9A-Za-z]{40}",
    "SWMTKN-1-[0-9a-z]{49}",
    "[a-z]+://[^/:@[:space:]$<{]+:[^/:@[:space:]$<{]{6,}@[a-z0-9]",
)
COMMITS = 20
_LOOK, _OWNER = (resources.files(__package__).joinpath(f"git_{part}.sh").read_text() for part in ("look", "owner"))
_PATTERNS = shlex.join(word for pattern in SECRETS for word in ("-e", pattern))
_SCRIPT = "look=" + shlex.quote(f"set -- {_PATTERNS}\n{_LOOK}") + f"\n{_OWNER}"
_COMMIT = re.compile(r"(?P<id>[0-9a-f]{40}(?:[0-9a-f]{24})?) (?P<email>\S*) (?P<author>.*)")


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    author: str
    email: str


@dataclass(frozen=True, slots=True)
class Repository:
    """What HEAD of a repository is made of."""

    commits: tuple[Commit, ...]
    """The newest, at most 20; the newest first."""
    shallow: bool
    """Older ones were never fetched."""
    files: int
    """Those that were looked through: all that are not empty."""
    binary: int
    """Files of them that are no text: archives, pictures, UTF-16. They were looked through byte by byte."""
    links: int
    submodules: int
    """Neither these nor links were looked into."""
    secrets: tuple[str, ...]
    """Files with a line that has a secret's form."""


def repository(host: Host, path: str) -> Ask[Repository]:
    """HEAD of the git repository at `path` on `host`, as its owner sees it.

    The files that HEAD has are the control of those that were looked through: each of them was, or the answer is
    NoControl. That none has a secret is what git's status says.
    """
    return command(
        host,
        _SCRIPT,
        given={"path": PATH(path)},
        probe=f"git rev-list and git grep in {path}",
        parse=parse_repository,
        tools=("git", "ls", "awk", "grep", "mktemp", "find", "readlink", "head", "tail", "sed"),
        may_use=("setpriv", "su"),
        deadline_s=10,
    )


def parse_repository(output: Output) -> Repository:
    """What git said, with its errors among it: a line that is none of the answer's is Unparseable."""
    sections = split(output.text, "refused", "commits", "shallow", "there", "looked -a", "looked -I", "secrets")
    if "refused" in sections:
        raise PrivilegeRefused(f"git was not run in the repository: {sections['refused'].strip()[:200]}")
    commits = _commits(sections["commits"].splitlines())
    shallow = {"no": False, "yes": True}.get(sections["shallow"].strip())
    there = sections["there"].strip()
    if shallow is None or not re.fullmatch(r"\d{1,9}(?: \d{1,9}){4}", there):
        raise Unparseable(f"what HEAD has was not counted: {sections['shallow'][:100]!r}, {there[:200]!r}")
    files, _, links, submodules, untold = map(int, there.split())
    looked, text = (whole_number(sections, f"looked {option}") for option in ("-a", "-I"))
    if files == 0 or untold or looked != files:
        raise NoControl(f"git looked through {looked} of {files + untold} files: what it did not read was not seen")
    if text > looked:
        raise Unparseable(f"git reads {text} of {looked} files as text")
    *found, status = sections["secrets"].splitlines() or [""]
    secrets = [_file(line, commits[0].id) for line in found]
    if status != f"status {0 if secrets else 1}":
        raise Unparseable(f"git grep lists {len(secrets)} files, and ended with {status[:200]!r}")
    if len(set(secrets)) != len(secrets) or len(secrets) > files:
        raise Unparseable("git grep names a file twice, or more than there are")
    return Repository(commits, shallow, files, files - text, links, submodules, tuple(sorted(secrets)))


def _commits(lines: list[str]) -> tuple[Commit, ...]:
    """`commit <hash>` and `<hash> <address> <name>`, a commit."""
    found = []
    for first, line in itertools.zip_longest(lines[::2], lines[1::2], fillvalue=""):
        match = _COMMIT.fullmatch(readable(line))
        if match is None or first != f"commit {match['id']}":
            raise Unparseable(f"no commit: {first[:200]!r}, {line[:200]!r}")
        found.append(Commit(match["id"], match["author"], match["email"]))
    if not found:
        raise NoControl("the repository has no commit")
    if len({commit.id for commit in found}) != len(found) or len(found) > COMMITS:
        raise Unparseable("git names a commit twice, or more than were asked for")
    return tuple(found)


def _file(line: str, head: str) -> str:
    revision, _, name = line.partition(":")
    name = name.removeprefix('"').removesuffix('"')
    if revision != head or not name:
        raise Unparseable(f"no file of HEAD: {line[:200]!r}")
    return name
