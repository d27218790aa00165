"""crictl: a real pull through the node's own containerd, watched by an nftables observer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_address
from typing import Any

from siteproof.asks import IMAGE, LINE, LOOKUPS, NOTHING, Ask, Form, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import NoControl, ToolFailed, Unparseable
from siteproof.probes.common.owned import OWNED
from siteproof.probes.common.root_words import HEX, MOMENT, PIDS
from siteproof.probes.common.sections import split, whole_number
from siteproof.probes.edge.nft import ruleset
from siteproof.runtimes.pull_route import Image

FAILED = 75
"""The status of a script of which the pull failed: an answer, and perhaps one that was waited for in vain."""
VERSION = {"crictl": "crictl --version"}

_HERE = resources.files(__package__)
CRICTL_SETTINGS = OWNED + _HERE.joinpath("crictl_settings.sh").read_text()
"""Stands before a script that runs crictl."""
CONTAINERDS = _HERE.joinpath("containerd_processes.sh").read_text()
"""The sh function `containerds`. Wants OWNED."""
TOOLS = ("find", "readlink", "ls", "grep", "cat", "sed", "tr", "tail")
"""What they run."""
_SCRIPT = CRICTL_SETTINGS + CONTAINERDS + _HERE.joinpath("observed_pull.sh").read_text()
_TABLE = f"siteproof_{HEX * 12}_{HEX * 6}_{MOMENT}"

_HASH = Form("a short hash", "[0-9a-f]{6}")

# containerd's words begin a pull's own failure. Other errors of the same call say that there was no pull: the socket
# is closed to us, the image service is not there, crictl itself gave up.
_RPC = r"rpc error: code = \w+ desc = (?P<cause>failed to pull and unpack image "
_FAILED = (
    re.compile(rf'(?:err|msg)="(?:pulling image: )?{_RPC}(?:[^"\\\n]|\\.)*)"'),
    re.compile(rf"^(?:FATA\[\d+\] pulling image: |\t){_RPC}.*)$", re.MULTILINE),
)
_NAME_NOT_FOUND = ": dial tcp: lookup "
_PULLED = re.compile(r"^Image is up to date for (?:sha256:)?[0-9a-f]{64}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull, and where its connections went."""

    failure: str
    """containerd's own words, or that it had not ended; empty if the image was pulled."""
    cached: bool
    """The image was there before, so that only name, token and manifest were asked for, no blob."""
    dialled: frozenset[tuple[Address, int]]
    """Address and port of every new TCP connection that the observer saw."""
    whole_host: bool
    """The observer saw all of the host's connections, not containerd's alone."""
    late: bool = False
    """It had not ended when the observer was read: whom else it would have dialled, nobody knows."""

    def ended(self) -> None:
        """Raises NoControl where it had not: a slow way and a dead one look alike."""
        if self.late:
            dialled = ", ".join(sorted(f"{address}:{port}" for address, port in self.dialled))
            raise NoControl(f"{self.failure}, with {dialled} dialled until then")

    def strayed(self, is_forbidden: Callable[[Address], bool]) -> frozenset[str]:
        """The forbidden addresses that were dialled, with their ports.

        Raises NoControl where anybody on the host may have dialled them: no user of it is to speak for containerd.
        """
        found = frozenset(f"{address}:{port}" for address, port in self.dialled if is_forbidden(address))
        if found and self.whole_host:
            raise NoControl(
                f"{', '.join(sorted(found))} was dialled during the pull, and the observer, which could not match "
                "containerd's cgroup, cannot tell by whom"
            )
        return found


def observed_pull(node: Host, image: str, *, deadline_s: int, cold: bool = False) -> Ask[Pull]:
    """Pull `image` on `node` through its CRI and observe which addresses are dialled.

    A pull speaks to somebody in any case: if the observer saw no connection at all, it is no observer, and that is
    NoControl. The image is removed again unless it was there before; `cold` removes it first, so that all is fetched.
    """
    word = IMAGE(image)
    hashed = hashlib.sha256(word.text.encode()).hexdigest()[:6]
    return command(
        node,
        _SCRIPT,
        probe=f"crictl pull {image}{', cold' if cold else ''}, observed by nft",
        parse=parse,
        given={"image": word, "image_hash": _HASH(hashed), "cold": LINE("yes") if cold else NOTHING},
        tools=("crictl", "nft", "date", "setsid", "sleep", "sort", *TOOLS),
        root=True,
        root_patterns={"table": (_TABLE,), "old": (_TABLE,), "pid": PIDS},
        deadline_s=deadline_s,
        answers=frozenset({0, FAILED}),
        vain_on=(FAILED,),
        waits_for=f"pulls from {Image.parse(image).registry}",
        needs=(LOOKUPS,),
        probe_class="changes" if cold else "borrows",
        slow=True,
    )


def parse(output: Output) -> Pull:
    """Raises NoControl where the observer saw no connection, unless containerd says that it did not get that far."""
    sections = split(output.text, "pull", "status", "scope", "present", "table", "seen")
    late = re.fullmatch(r"\s*late (\d+)\s*", sections["status"])
    if late is None:
        failure = failure_of(whole_number(sections, "status"), sections["pull"])
    elif sections["pull"].strip():
        raise Unparseable(f"a pull that had not ended has said something: {sections['pull'][:200]!r}")
    else:
        failure = f"the pull had not ended after {late[1]} s"
    dialled = _dialled(sections["seen"], sections.get("table", "").strip())
    if not dialled and _NAME_NOT_FOUND not in failure:
        raise NoControl("the observer saw no connection at all, although a pull makes one")
    scope, present = sections["scope"], sections["present"]
    if scope not in ("containerd", "host") or present not in ("yes", "no"):
        raise Unparseable(f"the script did not say what it observed: {scope!r}, {present!r}")
    return Pull(failure, present == "yes", dialled, scope == "host", late is not None)


def failure_of(status: int, said: str) -> str:
    """Why a pull failed, in containerd's words; empty if it did not.

    crictl's exit 1 is an answer only with containerd's own error, its exit 0 only with its own success.
    """
    failed = next((found for pattern in _FAILED if (found := pattern.search(said))), None)
    if status == 1 and failed:
        return failed["cause"].replace('\\"', '"')
    if status == 0 and not failed and _PULLED.search(said):
        return ""
    raise ToolFailed(f"crictl pull ended with status {status} and neither pulled nor says why not: {said[-300:]!r}")


def _dialled(text: str, table: str) -> frozenset[tuple[Address, int]]:
    """What is in the observer's sets. `table` is its name in this very run; empty in what was recorded without it."""
    sets = [item["set"] for item in ruleset(text) if "set" in item]
    if table and {s.get("table") for s in sets} != {table}:
        raise NoControl(f"nft shows another table than {table[:80]}, which was made for this run")
    if {s["name"] for s in sets} != {"seen", "seen6"}:
        raise Unparseable("nft does not show the observer's sets")
    return frozenset(_endpoint(element) for s in sets for element in s.get("elem", []))


def _endpoint(element: Any) -> tuple[Address, int]:
    """`{"concat": ["10.0.20.203", 443]}`, or the same inside `{"elem": {"val": …}}`."""
    value = element["elem"]["val"] if "elem" in element else element
    address, port = value["concat"]
    return ip_address(address), int(port)
