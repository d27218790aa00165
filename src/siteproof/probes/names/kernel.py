"""The addresses that a host's kernel takes for its own, as it shows them itself: a second opinion beside ip's."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import NoControl
from siteproof.probes.common.sections import END, section, split

_SCRIPT = f"""\
{section("fib_trie")}
cat /proc/net/fib_trie || exit
{END}
"""
_LOCAL = re.compile(r"^ *\|-- (\S+)\n(?: +/\d+ .*\n)*? +/32 host LOCAL$", re.MULTILINE)


def kernel_addresses(host: Host) -> Ask[frozenset[IPv4Address]]:
    """The IPv4 addresses of `host` that others may reach, those on their way out too: not loopback's, not a link's own.

    The kernel's table without loopback is not believed: NoControl.
    """
    return command(host, _SCRIPT, probe="/proc/net/fib_trie", parse=parse, tools=("cat",))


def parse(output: Output) -> frozenset[IPv4Address]:
    """`|-- 10.0.20.203`, and below it `/32 host LOCAL`."""
    found = {IPv4Address(text) for text in _LOCAL.findall(split(output.text, "fib_trie")["fib_trie"])}
    if not any(address.is_loopback for address in found):
        raise NoControl("the kernel's table has no loopback, so it was not read as it is")
    return frozenset(address for address in found if not address.is_loopback and not address.is_link_local)
