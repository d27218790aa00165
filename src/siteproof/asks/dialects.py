"""What a smaller or older tool does not know, and what is asked of it instead, in the same words of a script.

A function of sh stands before a script that uses the tool: the question stays the same, and so does what finds its
answer in the evidence.
"""

from __future__ import annotations

TEXT = "siteproof: text"
TEXT_END = "siteproof: end of text"

# busybox's ip and iproute2 before 4.13 have no -j. Asked is the tool itself, about what every host has, and not its
# version: an ip that fails at both fails as it would have. Without the last line the text was cut short.
_IP = f"""ip() {{
case $1 in -j)
if ! command ip -j link show lo >/dev/null 2>&1 && command ip link show lo >/dev/null 2>&1; then
shift
echo '{TEXT}'; command ip "$@" && echo '{TEXT_END}'
return
fi ;;
esac
command ip "$@"
}}
"""


def translated(script: str) -> str:
    """The script, behind the functions that it may need on some hosts."""
    return f"{_IP}{script}" if "ip -j " in script else script
