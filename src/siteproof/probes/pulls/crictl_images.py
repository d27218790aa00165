"""crictl: which images a node has, and whether it can pull them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape

from siteproof.asks import IMAGE, LOOKUPS, NUMBER, Ask, Host, Output, command, name_of
from siteproof.errors import NoControl, ToolFailed, Unparseable
from siteproof.probes.common.root_words import HEX
from siteproof.probes.common.sections import END, from_json, split, whole_number
from siteproof.probes.pulls.crictl import CRICTL_SETTINGS, FAILED, failure_of
from siteproof.runtimes.pull_failure import RATE_LIMIT, cause
from siteproof.runtimes.pull_route import Image

ENOUGH_S = 10
_NAMES = frozenset({"repoTags", "repoDigests"})
_KEYS = _NAMES | {"id", "size", "uid", "username", "spec", "pinned"}
"""Of an image, from crictl 1.24 to 1.34."""
_IMAGES = f"""\
{CRICTL_SETTINGS}
$ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" images -o json"""
_AGAIN = f"""\
{CRICTL_SETTINGS}
$ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" inspecti -q "$image" >/dev/null || exit
# What the kernel counts is no tool's word: how many connections the host has begun.
opened() {{
    while read -r protocol _ _ _ _ opened _; do
        case $protocol$opened in Tcp:[0-9]*) printf '%s\\n' "$opened" ;; esac
    done </proc/net/snmp
}}
number=0 failed=
read -r first _ </proc/uptime
while [ $((number += 1)) -le "$times" ]; do
    printf '\\n== siteproof pull %s\\n' "$number"
    before=$(opened)
    read -r begun _ </proc/uptime
    $ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" pull "$image" 2>&1
    status=$?
    [ $status = 0 ] || failed=yes
    printf '\\n== siteproof status %s\\n%s\\n' "$number" "$status"
    read -r ended _ </proc/uptime
    printf '== siteproof seconds %s\\n%s %s\\n' "$number" "$begun" "$ended"
    printf '== siteproof opened %s\\n%s %s\\n' "$number" "$before" "$(opened)"
    [ $((${{ended%.*}} - ${{first%.*}})) -lt {ENOUGH_S} ] || break
done
{END}
[ -z "$failed" ] || exit {FAILED}
"""


@dataclass(frozen=True, slots=True)
class Images:
    """What is in a node's image store."""

    node: str
    digests: Mapping[str, tuple[str, ...]]
    """By tag, `ghcr.io/fluxcd/helm-controller:v1.5.1`: the names with digests that the same image has."""

    def __contains__(self, image: str) -> bool:
        return image in self.digests or any(image in digests for digests in self.digests.values())

    def by_digest(self, image: str) -> str:
        """The image's name with its digest, by which pulling it again can change nothing.

        Raises NoControl where the node does not have it: to pull it would be to change the node.
        """
        own = [d for d in self.digests.get(image, ()) if d.startswith(f"{Image.parse(image).untagged}@")]
        if not own:
            raise NoControl(f"{self.node} does not have {image}, so that it cannot be pulled again", host=self.node)
        return own[0]


@dataclass(frozen=True, slots=True)
class Again:
    """One of several pulls of an image that is there."""

    failure: str
    """containerd's own words; empty if it was pulled."""
    seconds: float


def images(node: Host) -> Ask[Images]:
    """All images that `node` has."""
    return command(
        node,
        _IMAGES,
        probe="crictl images",
        parse=lambda output: parse_images(output, name_of(node)),
        tools=("crictl", "find", "readlink", "ls", "sed"),
        root=True,
        waits_for="containerd",
    )


def parse_images(output: Output, node: str) -> Images:
    """`{"images": [{"repoTags": […], "repoDigests": […]}]}`; of an image without any, null or left out.

    Raises Unparseable where no image at all has one: every node has its own.
    """
    try:
        found = from_json(output.text, "crictl")["images"]
        if any(not image.keys() >= _NAMES and image.keys() - _KEYS for image in found):
            raise TypeError("what is left out may have another name")
        names = [(image.get("repoTags") or [], image.get("repoDigests") or []) for image in found]
        if not all(isinstance(spelt, list) and set(map(type, spelt)) <= {str} for pair in names for spelt in pair):
            raise TypeError("not lists of names")
        if found and not (any(tags for tags, _ in names) and any(own for _, own in names)):
            raise TypeError("no image has a name")
        digests = {tag: tuple(own) for tags, own in names for tag in tags}
    except (KeyError, TypeError, AttributeError):
        raise Unparseable(f"not crictl's list of images: {output.text[:200]!r}") from None
    return Images(node, digests)


def pull_again(node: Host, image: str, digest: str, *, times: int, deadline_s: int) -> Ask[tuple[Again, ...]]:
    """Pull `image`, which `node` has, by its digest, several times: name, token and manifest are asked for, no blob.

    No further one is begun after ten s. A registry that limits the rate has not answered: ToolFailed.
    """
    return command(
        node,
        _AGAIN,
        probe=f"crictl pull {digest}, {times} times",
        parse=lambda output: parse_again(output, times),
        given={"image": IMAGE(digest), "times": NUMBER(times)},
        tools=("crictl", "find", "readlink", "ls", "sed"),
        root=True,
        root_patterns={"image": (f"{escape(Image.parse(image).untagged)}@sha256:{HEX * 64}",)},
        deadline_s=deadline_s,
        answers=frozenset({0, FAILED}),
        vain_on=(FAILED,),
        waits_for=f"pulls from {Image.parse(image).registry}",
        needs=("containerd", LOOKUPS),
        probe_class="sends",
        slow=True,
    )


def parse_again(output: Output, times: int) -> tuple[Again, ...]:
    """crictl's exit 1 is an answer only with containerd's own error; its exit 0 only with its own success."""
    sections = split(output.text, ("pull ", "status ", "seconds ", "opened "))
    found = []
    for number in range(1, times + 1):
        if number > 1 and f"pull {number}" not in sections:
            break
        failure = failure_of(whole_number(sections, f"status {number}"), sections[f"pull {number}"])
        begun, ended = (float(moment) for moment in sections[f"seconds {number}"].split())
        if cause(failure) == RATE_LIMIT:
            raise ToolFailed(f"the registry limits the rate: {failure}")
        if (opened := sections.get(f"opened {number}")) is not None and not failure:
            before, after = (int(count) for count in opened.split())
            if after <= before:
                raise NoControl(
                    "crictl says that it pulled, and the host began no connection: its words are not of now"
                )
        found.append(Again(failure, ended - begun))
    return tuple(found)
