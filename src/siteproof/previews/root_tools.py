"""What may run as root: each tool with the words that only look, or that touch nothing but what siteproof has made.

A list of what is allowed, since there is always one more interpreter. A tool or an option that is not here is refused,
also where it would be harmless: whoever needs one adds it, with the words that do no more than they should.

sudo joins the words with blanks and compares one line. So whoever adds something asks what it does with its words
joined and split anew, at any blank: an option may vanish into the value before it, half of a word may be a file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

_PATH = r"/[^\0]*"
_NAME = r"[^\0-][^\0]*"
"""No option."""
_OURS = r"siteproof_[^\0;{}\s]+"
_FILES = rf"(?:--\0)?(?:{_PATH}\0)+"
_DOCKER_LOOKS = (
    "ps|info|version|images|inspect|(?:network|service|node|container|image|volume|stack)\0(?:ls|ps|inspect)"
)
_CANARY = (
    r"(?:--(?:detach|quiet|no-resolve-image)\0|--(?:container-)?label\0siteproof[^\0]*\0|--name\0" + _OURS + r"\0|"
    r"--(?:network|replicas|stop-grace-period|endpoint-mode|constraint|restart-condition)\0" + _NAME + r"\0)+"
)
_PROCESS = r"/proc/[][0-9-]+"
_NMAP = (
    r"-v+|-n|-Pn|-6|-s[ST]|--reason|--traceroute|-oX\0-|-p\0[0-9,-]+|"
    r"--(?:max-retries|initial-rtt-timeout|max-rtt-timeout|host-timeout)\0[0-9]+[a-z]*"
)

_FORMS: dict[str, tuple[str, ...]] = {
    "id": (r"-u\0",),
    "cat": (_FILES,),
    "sha256sum": (_FILES,),
    "readlink": (rf"(?:-[efmn]\0)*{_FILES}",),
    "stat": (rf"(?:-L\0|-c\0[^\0]*\0)*{_FILES}",),
    "ls": (rf"(?:-[1Ladln]+\0)*{_FILES}",),
    "nft": (
        rf"(?:-[ajns]\0)*list\0(?:{_NAME}\0)+",
        rf"(?:add|create|delete)\0(?:table|set|chain|rule)\0inet\0{_OURS}\0(?:[^\0]*\0)*",
    ),
    "docker": (
        rf"(?:{_DOCKER_LOOKS})\0(?:[^\0]*\0)*",
        rf"service\0rm\0{_OURS}\0",
        rf"service\0create\0{_CANARY}--\0{_NAME}\0(?:[^\0]*\0)*",
    ),
    "crictl": (r"(?:version|info)\0", rf"(?:images|inspecti|pull|rmi)\0(?:-q\0|-o\0json\0)*(?:{_NAME}\0)?"),
    "containerd": (r"--version\0", rf"(?:--config\0{_PATH}\0)?config\0dump\0"),
    # The proxies that a process is given, and which process it is; of the rest of its environment nothing.
    "grep": (
        r"-azEh\0-e\0\^\[0-9]\+\.\[\(]containerd\[\)]\0-e\0\^\(http\|https\|no\|HTTP\|HTTPS\|NO\)_\(proxy\|PROXY\)=\0--\0"
        rf"{_PROCESS}/stat\0{_PROCESS}/environ\0{_PROCESS}/stat\0",
    ),
    "curl": (rf"-q\0-sS\0--max-time\0[0-9.]+\0--unix-socket\0{_PATH}\0http://[^\0]*\0",),
    # Before whatever takes any text: joined to a unit's name, the option would be gone, and root would have a pager.
    "journalctl": (rf"(?:--quiet\0)?--no-pager\0(?:(?:--quiet|-b|-k|-o\0[a-z-]+|-n\0[0-9]+|-u\0{_NAME})\0)*",),
    "systemctl": (rf"(?:show|cat|is-active|is-enabled)\0--no-pager\0(?:(?:-p\0{_NAME}|{_NAME})\0)+",),
    "unbound-control": (rf"(?:-c\0{_PATH}\0)?(?:status|list_[a-z_]+)\0",),
    "ss": (r"-Hlnptu\0",),
    "netstat": (r"-lnptu\0",),
    "sockstat": (r"-46l\0",),
    "netplan": (r"get\0[a-z.]+\0",),
    "nmap": (rf"(?:(?:{_NMAP})\0)+{_NAME}\0",),
    "ip": (rf"(?:-[46djos]\0)*(?:addr|link|route|rule|neigh)\0(?:(?:show|get)\0(?:{_NAME}\0)*)?",),
    "ping": (rf"(?:-[46nq]\0|-[ciWsM]\0[a-z0-9.]+\0)*(?:--\0)?{_NAME}\0",),
    **dict.fromkeys(
        (f"{family}tables{kind}-save" for family in ("ip", "ip6") for kind in ("", "-nft", "-legacy")),
        (r"(?:-c\0|-t\0[a-z]+\0)*",),
    ),
}
"""Tool -> what its arguments look like, each with a NUL behind it."""

_CONTAINERD = frozenset(
    f"unix://{path}"
    for path in (
        "/run/containerd/containerd.sock",
        "/run/k3s/containerd/containerd.sock",
        "/var/snap/microk8s/common/run/containerd.sock",
    )
)
_PINS = {
    "docker": {"-H": frozenset({"unix:///var/run/docker.sock"})},
    "crictl": {"--runtime-endpoint": _CONTAINERD, "--image-endpoint": _CONTAINERD},
}
"""Which daemon a tool is to speak to: its first options, and the sockets that only root can put there."""

_IN_NAMESPACE = re.compile(r"--net=/proc/[^/\0*?]+/ns/net")
_FROM_STDIN = re.compile(r"(?:-n\0[0-9]+\0)?ping\0(?:-[46nq]\0|-[ciWsM]\0[a-z0-9.]+\0)*--\0")
"""xargs: the operands come from the user, and `--` keeps them from being anything else."""
_ACTS = re.compile(r"\b(?:accept|drop|reject|queue|jump|goto|dnat|snat|masquerade|redirect|tproxy|notrack|policy)\b")
_PATHS = frozenset({"cat", "sha256sum", "readlink", "stat", "ls", "containerd", "curl", "unbound-control"})
"""They open what their arguments name."""

_FIND_ALONE = frozenset(
    {"-L", "-H", "-o", "!", "(", ")", ",", "-depth", "-prune", "-print", "-true", "-false", "-ignore_readdir_race"}
)
_FIND_WITH_WORD = frozenset(
    {
        "-name",
        "-path",
        "-type",
        "-xtype",
        "-printf",
        "-perm",
        "-user",
        "-group",
        "-newer",
        "-size",
    }
)
_FIND_STARTS = re.compile(r"((?:-[LH]\0)*)(/[^\0]*)\0(?:-mindepth\0[0-9]+\0)?-maxdepth\0[0-9]+\0")
"""One starting point, and right behind it how deep it goes. Joined to the path the option is gone, and so is the place
where find looks. From a second one find would go on without any depth: in /proc down to the directories that a process
holds open, where whoever started it has put links."""
_FIND_LEAVES = re.compile(r"/proc/1/(?:ns/[a-z]+|root)|/(?:usr|var)/[a-z0-9/]+/containerd")
"""Links and files, for `test -ef`. Any word becomes a starting point, if all before it is joined to the first: what is
no directory leads nowhere, as long as find follows no link."""
_IN_ROOT = re.compile(
    r"(?:\.\.?|s?bin|boot|dev|etc|home|lib(?:x?32|64)?|lost\+found|media|mnt|opt|proc|root|run|snap|srv|sys|tmp|usr|var)"
    r"(?:/|\Z)"
)
"""What is relative starts at /, where sudo starts find."""
_FOUND = r"\{\}(?:/(?:comm|status|stat|cgroup|cmdline))?"
_FOR_EACH = re.compile(
    rf"grep\0(?:-[EFaciqsvwx]+\0)+{_NAME}\0{_FOUND}\0|cat\0{_FOUND}\0|readlink\0\{{\}}(?:/exe)?\0|"
    rf"test\0(?:[^\0]*\0)+|sed\0s/[^/\0]*/[^/\0]*/g?\0{_FOUND}\0"
)
"""`test` compares names of files and opens none."""

_OTHERS_WRITE = re.compile(
    r"/(?:(?:var/)?tmp|dev/(?:shm|mqueue)|home|media|(?:var/)?run/(?:user|lock|shm)|var/(?:lock|spool|mail))(?:/|\Z)|"
    r"/proc/(?:self|thread-self|[^a-z/][^/]*)(?:/|\Z)"
)
_ROOTS_OWN = re.compile(r"/(?:etc|usr|s?bin|lib(?:32|64)?|boot|sys|proc|run|var/(?:run|lib|unbound|cache|log))(?:/|\Z)")


def reason_against(words: Sequence[str]) -> str | None:
    """Why this command line must not run as root; None where it may.

    Words as fnmatch has them: what is special and not behind a backslash stands for whatever sudo lets through.
    """
    plain = [re.sub(r"\\(.)", r"\1", word) for word in words]
    tool, arguments = posixpath.basename(plain[0]), plain[1:]
    while arguments[1:2] and arguments[1] in _PINS.get(tool, {}).get(arguments[0], ()):
        del plain[1:3], arguments[:2]
    wide = [word for word in words if re.search(r"(?<!\\)(?:[*?]|\[[!^])", word)]
    if wide and plain[:3] != ["docker", "network", "inspect"]:
        return f"`{wide[0]}` lets anything through, further arguments too"
    if odd := [word for word in plain if not word or word != " ".join(word.split())]:
        return f"sudoers cannot say {odd[0]!r}: it loses blanks at either end, and all but one in the middle"
    if hidden := _hidden_option(tool, arguments):
        return f"sudo does not know where words end, so that {hidden} could be an option"
    if tool in _PATHS and (torn := next((word for word in plain if " " in word), None)):
        return f"sudo does not know where words end, so that {torn!r} could be several files"
    if "/" in plain[0] and (others_write(plain[0]) or not plain[0].startswith("/")):
        return f"{plain[0]} is where others may put a program"
    if tool == "find":
        return _against_find(arguments)
    if tool in _PATHS and (where := next((path for path in _paths(arguments) if others_write(path)), None)):
        return f"others may decide what {where} is"
    if not _is_known(tool, arguments):
        return "not among the tools and words that are known to do no harm (root_tools)"
    return None


def _hidden_option(tool: str, arguments: Sequence[str]) -> str | None:
    """What is none where it stands, and becomes one if the words are split elsewhere. nft joins them itself."""
    behind = [half for word in arguments for half in word.split()[1:]] if tool != "nft" else []
    if tool == "docker" and arguments[:2] == ["service", "create"] and "--" in arguments:
        behind += arguments[arguments.index("--") + 1 :]  # a label before it may swallow the `--`
    return next((half for half in behind if half.startswith("-") and half != "-"), None)


def _is_known(tool: str, arguments: Sequence[str]) -> bool:
    joined = "".join(f"{word}\0" for word in arguments)
    if tool == "nsenter":
        inner = arguments[1:]
        return (
            bool(inner and _IN_NAMESPACE.fullmatch(arguments[0]))
            and inner[0] in ("xargs", "ping", "ip")
            and (_is_known(inner[0], inner[1:]))
        )
    if tool == "xargs":
        return _FROM_STDIN.fullmatch(joined) is not None
    if not any(re.fullmatch(form, joined, re.DOTALL) for form in _FORMS.get(tool, ())):
        return False
    return tool != "nft" or arguments[0] not in ("add", "create") or _only_watches(arguments[4:])


def _only_watches(definition: Sequence[str]) -> bool:
    """nft takes its words for one text: what is behind a semicolon would be a statement of its own."""
    text = " ".join(definition)
    return not re.search(r"[;\n]", re.sub(r"\{[^{}]*\}", "", text)) and not _ACTS.search(text)


def _against_find(arguments: Sequence[str]) -> str | None:
    rest = list(arguments)
    # From /, where sudo starts it, also what is relative leads somewhere.
    torn = (half for word in arguments if " " in word for half in word.split() if others_write(f"/{half}"))
    if where := next(torn, None):
        return f"sudo does not know where words end, and others may decide what {where} is"
    begun = _FIND_STARTS.match("".join(f"{word}\0" for word in arguments))
    if begun is None:
        return "find takes one starting point, and -maxdepth right behind it: else nothing keeps it there"
    if others_write(begun[2]):
        return f"others may decide what {begun[2]} is"
    if " " in begun[2]:
        return f"sudo does not know where words end, so that {begun[2]!r} could be several files"
    del rest[: begun[0].count("\0")]
    if start := next(
        (half for word in rest for half in word.split() if _starts_find(half, follows=begun[1] != "")), None
    ):
        return f"sudo does not know where words end, so that find could start at {start}, however deep"
    while rest:
        word = rest.pop(0)
        if word in _FIND_WITH_WORD and rest:
            rest.pop(0)
        elif word == "-exec" and ";" in rest:
            end = rest.index(";")
            if not _FOR_EACH.fullmatch("".join(f"{each}\0" for each in rest[:end])):
                return f"`-exec {' '.join(rest[:end])}` is more than to look"
            del rest[: end + 1]
        elif word not in _FIND_ALONE:
            return f"`{word}` of find is not among those that only look"
    return None


def _starts_find(word: str, *, follows: bool) -> bool:
    """Whether find would have something to walk through there."""
    if word.startswith("/"):
        return follows or _FIND_LEAVES.fullmatch(word) is None
    return _IN_ROOT.match(word) is not None


def others_write(path: str) -> bool:
    """Whether somebody else than root may put a file, or a link to one of root's, where this leads."""
    return ".." in path.split("/") or _OTHERS_WRITE.match(_normal(path)) is not None


def _normal(path: str) -> str:
    return posixpath.normpath(f"/{path.lstrip('/')}")


def doubtful(words: Sequence[str]) -> list[str]:
    """The files that are read as root and whose directories need not be root's: only the host can tell."""
    tool = posixpath.basename(words[0])
    return [path for path in _paths(words[1:]) if not _ROOTS_OWN.match(_normal(path))] if tool in _PATHS else []


def _paths(arguments: Sequence[str]) -> list[str]:
    return [word for word in arguments if word.startswith("/")]
