"""git log and git grep: who made a repository's commits, and which of its files hold what looks like a secret.

Never as root: a repository's own configuration may name programs that git runs. Secrets are looked for on the host, and
only the names of files leave it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from siteproof.asks import Ask, Output, command
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.sections import END, readable, section, split

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
    files: int
    """Text files that were looked through."""
    secrets: tuple[str, ...]
    """Those with a line that has a secret's form."""


def repository(host: str, path: str) -> Ask[Repository]:
    """HEAD of the git repository at `path` on `host`.

    The files with any line at all are the control of those with a secret: what was looked through, there was. That
    there are none of the latter is what git's status says.
    """
    options = "-c core.fsmonitor=false -c log.showSignature=false -c core.quotePath=true"
    git = f"git -c safe.directory={shlex.quote(path)} {options} --no-pager -C {shlex.quote(path)}"
    patterns = " ".join(f"-e {shlex.quote(pattern)}" for pattern in SECRETS)
    return command(
        host,
        f"{section('commits')}\n"
        f"{git} log -n {COMMITS} --no-color --no-mailmap --format='%H %ae %an' HEAD || exit\n"
        f"{section('files')}\n"
        f"{git} grep --no-color --full-name -I -l -e '' HEAD -- ':/' || exit\n"
        f"{section('secrets')}\n"
        f"{git} grep --no-color --full-name -I -l -E {patterns} HEAD -- ':/'\n"
        "status=$?\n[ $status -le 1 ] || exit 2\necho status $status\n"
        f"{END}",
        probe=f"git log and git grep in {path}",
        parse=parse_repository,
        tools=("git",),
    )


def parse_repository(output: Output) -> Repository:
    """`<hash> <address> <name>` a commit, `HEAD:<path>` a file (quoted if not ASCII), then git's status."""
    sections = split(output.text)
    commits = tuple(map(_commit, sections["commits"].splitlines()))
    files = [_file(line) for line in sections["files"].splitlines()]
    *found, status = sections["secrets"].splitlines() or [""]
    secrets = [_file(line) for line in found]
    if not commits or not files:
        raise NoControl("the repository has no commit, or no text file that could be looked through")
    if len({commit.id for commit in commits}) != len(commits) or len(commits) > COMMITS:
        raise Unparseable("git log names a commit twice, or more than were asked for")
    if status != f"status {0 if secrets else 1}":
        raise Unparseable(f"git grep lists {len(secrets)} files, and ended with {status[:40]!r}")
    if len(set(files)) != len(files) or len(set(secrets)) != len(secrets) or not set(secrets) <= set(files):
        raise Unparseable("git grep names a file twice, or one that it did not look through")
    return Repository(commits, len(files), tuple(sorted(secrets)))


def _commit(line: str) -> Commit:
    if (match := _COMMIT.fullmatch(readable(line))) is None:
        raise Unparseable(f"no commit: {line[:200]!r}")
    return Commit(match["id"], match["author"], match["email"])


def _file(line: str) -> str:
    revision, _, name = line.partition(":")
    name = name.removeprefix('"').removesuffix('"')
    if revision != "HEAD" or not name:
        raise Unparseable(f"no file of HEAD: {line[:200]!r}")
    return name
