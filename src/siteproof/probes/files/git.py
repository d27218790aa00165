"""git: who made a repository's commits, and which of its files hold what looks like a secret.

With the rights of the repository's owner, and of the repository git sees the objects alone (see the scripts). Secrets
are looked for on the host, and only the names of files leave it.
"""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass, replace
from importlib import resources

from siteproof.asks import PATH, Ask, Host, Output, command
from siteproof.errors import NoControl, PrivilegeRefused, Unparseable
from siteproof.probes.common.sections import readable, split, whole_number

VERSION = {"git": "git --version"}

_AT_START = "(^|[^0-9A-Za-z])"
_WORD = "[0-9A-Za-z_-]"
_VALUE = "[^][:space:]\"'$<>{}().,;/[]"
# What names a password or a key before it; behind a name, a value with a digit in it that is no variable, path or call.
_NAMED = (
    "([Pp]assw(or)?d|PASSW(OR)?D|[Aa]pi[_-]?[Kk]ey|API_?KEY|_authToken|"
    "([Aa]ccess|[Aa]uth|[Ss]ecret)[_-]([Tt]oken|[Kk]ey|access_key)|(ACCESS|AUTH|SECRET)_(TOKEN|KEY|ACCESS_KEY))"
)
_ASSIGNED = f"{_AT_START}([0-9A-Za-z]+[_-])*{_NAMED}[\"']?[[:space:]]*[:=][[:space:]]*[\"']?"
_ENDS = "([[:space:]\"',;]|$)"

# Forms that only a secret has: a private key's first line, the prefixes that issuers give their tokens, a password in
# a URL, a header, a login's file or an assignment. The prefixes are those that the issuers document.
SECRETS = (
    "-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----",
    "PuTTY-User-Key-File-[23]:",
    "AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{58}",
    f"{_AT_START}(AKIA|ASIA)[0-9A-Z]{{16}}([^0-9A-Z]|$)",
    f"{_AT_START}gh[opsur]_[0-9A-Za-z]{{36}}",
    f"{_AT_START}github_pat_[0-9A-Za-z_]{{60}}",
    f"{_AT_START}gl(pat|dt|rt|rtr|ptt|cbt|soat|ft|imt|agent|oas|ffct)-{_WORD}{{20}}",
    f"{_AT_START}xox[abeprs]-[0-9A-Za-z-]{{10}}",
    f"{_AT_START}xapp-[0-9]-[0-9A-Z]+-[0-9]+-",
    "hooks\\.slack\\.com/(services|workflows)/T[0-9A-Z]{8,}/",
    "discord(app)?\\.com/api/webhooks/[0-9]{16,}/" + _WORD + "{60}",
    f"{_AT_START}[0-9]{{8,10}}:AA{_WORD}{{33}}",
    f"{_AT_START}dp\\.(pt|st|ct|sa|scim|audit)\\.[0-9A-Za-z]{{40}}",
    "SWMTKN-1-[0-9a-z]{49}",
    "SWMKEY-1-[0-9A-Za-z+/]{43}",
    "K10[0-9a-f]{64}::[a-z]+:[0-9A-Za-z]{16}",
    f"{_AT_START}dckr_(pat|oat)_{_WORD}{{27}}",
    f"{_AT_START}hv[sbr]\\.{_WORD}{{24}}",
    f"{_AT_START}npm_[0-9A-Za-z]{{36}}",
    f"{_AT_START}pypi-AgE{_WORD}{{50}}",
    f"{_AT_START}tskey-[a-z]+-[0-9A-Za-z]{{6,}}",
    f"{_AT_START}sk-(proj|svcacct|admin|ant-[a-z]+[0-9]+)-{_WORD}{{20}}",
    f"{_AT_START}sk-[0-9A-Za-z]{{48}}",
    f"{_AT_START}(sk|rk)_(live|test)_[0-9A-Za-z]{{16}}",
    f"{_AT_START}AIza{_WORD}{{35}}",
    f"{_AT_START}GOCSPX-{_WORD}{{28}}",
    f"{_AT_START}SG\\.{_WORD}{{16,}}\\.{_WORD}{{16,}}",
    f"{_AT_START}do[opr]_v1_[0-9a-f]{{64}}",
    f"{_AT_START}glsa_[0-9A-Za-z]{{32}}_[0-9a-f]{{8}}",
    f"{_AT_START}hf_[0-9A-Za-z]{{34}}",
    f"{_AT_START}eyJ{_WORD}{{10,}}\\.eyJ{_WORD}{{10,}}\\.{_WORD}{{10,}}",
    "AccountKey=[0-9A-Za-z+/]{86}==",
    "(PrivateKey|PresharedKey)[[:space:]]*=[[:space:]]*[0-9A-Za-z+/]{43}=",
    "[Aa]uthorization[\"']?[[:space:]]*[:=][[:space:]]*[\"']?(Basic|Bearer|token)[[:space:]]+[0-9A-Za-z+/=_.-]{16}",
    '"(auth|identitytoken)":[[:space:]]*"[0-9A-Za-z+/=_.-]{16}',
    "machine[[:space:]]+[^[:space:]]+[[:space:]]+login[[:space:]]+[^[:space:]]+[[:space:]]+password[[:space:]]+[^[:space:]$<{]",
    "[a-z]+://[^/:@[:space:]$<{]+:[^/:@[:space:]$<{]{6,}@[a-z0-9]",
    f"{_ASSIGNED}({_VALUE}{{3,}}[0-9]{_VALUE}{{4,}}|{_VALUE}{{7,}}[0-9]|[0-9]{_VALUE}{{7,}}){_ENDS}",
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
    committer: str = ""
    """Who put it there, which need not be who wrote it; empty in what was recorded before this was asked."""
    committer_email: str = ""

    @property
    def people(self) -> tuple[str, ...]:
        """`Name <address>` of both."""
        authors = f"{self.author} <{self.email}>"
        return (authors, f"{self.committer} <{self.committer_email}>") if self.committer_email else (authors,)


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
    sections = split(
        output.text, "refused", "commits", "committers", "shallow", "there", "looked -a", "looked -I", "secrets"
    )
    if "refused" in sections:
        raise PrivilegeRefused(f"git was not run in the repository: {sections['refused'].strip()[:200]}")
    commits = _commits(sections["commits"].splitlines())
    if "committers" in sections:
        committers = _commits(sections["committers"].splitlines())
        if len(committers) != len(commits):
            raise Unparseable(f"git tells the authors of {len(commits)} commits, and {len(committers)} committers")
        commits = tuple(map(_with_committer, commits, committers))
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


def _with_committer(commit: Commit, by: Commit) -> Commit:
    if commit.id != by.id or not by.email:
        raise Unparseable(f"git does not say who committed {commit.id[:12]}")
    return replace(commit, committer=by.author, committer_email=by.email)


def _file(line: str, head: str) -> str:
    revision, _, name = line.partition(":")
    name = name.removeprefix('"').removesuffix('"')
    if revision != head or not name:
        raise Unparseable(f"no file of HEAD: {line[:200]!r}")
    return name
