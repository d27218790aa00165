"""systemd-resolved: the server it is on, and the settings that nobody writes down."""

from __future__ import annotations

from collections.abc import Mapping

from siteproof.asks import HOST_NAME, LOOKUPS, SMALL, Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import END, from_json, section, split
from siteproof.probes.names.resolver import STUBS, nameservers, resolved_address

SETTINGS = ("Domains", "LLMNR", "MulticastDNS", "DNSOverTLS", "DNSSEC")

_WORDS = frozenset({"yes", "no", "resolve", "opportunistic", "allow-downgrade"})

_MANAGER = "org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager"
_RESOLV_CONF = f"""\
{section("resolv.conf")}
cat /etc/resolv.conf || exit
{section("resolved")}
grep -Eq '^[[:space:]]*nameserver[[:space:]]+127\\.0\\.0\\.5[34]' /etc/resolv.conf
stub=$?
[ $stub -le 1 ] || exit
"""


_GET = "busctl --json=short get-property"
_CURRENT = f"""\
{_RESOLV_CONF}
if [ $stub = 0 ]; then
    if busctl --json=short call {_MANAGER} ResolveHostname isit 0 "$control" 2 0 >/dev/null; then
        echo found
    else
        echo 'not found'
    fi
    {section("manager")}
    {_GET} {_MANAGER} CurrentDNSServer DNS || exit
    for link in $({_GET} {_MANAGER} DNS | grep -o '\\[[0-9]*,[0-9]*,\\[' | sort -u); do
        link=${{link#[}}
        link=${{link%%,*}}
        case $link in 0) continue ;; *[!0-9]* | '') exit 1 ;; esac
        {section("link ")}"$link"
        {_GET} org.freedesktop.resolve1 "/org/freedesktop/resolve1/link/_3$link" \\
            org.freedesktop.resolve1.Link CurrentDNSServer || exit
    done
fi
{END}
"""
_SETTINGS = f"""\
{_RESOLV_CONF}
if [ $stub = 0 ]; then
    {_GET} {_MANAGER} {" ".join(SETTINGS)} || exit
fi
{END}
"""


def current_servers(host: Host, *, control: str) -> Ask[frozenset[Address]]:
    """The server that programs on `host` are answered by now: resolved's current one, of every scope that has one.

    glibc by itself begins with the first server of resolv.conf every time. `control` is looked up before, so that
    there is a current one; if it is not found, NoControl.
    """
    return command(
        host,
        _CURRENT,
        probe="resolved's current server",
        parse=lambda output: parse_current(output, control),
        at_most=SMALL,
        given={"control": HOST_NAME(control)},
        tools=("cat", "grep"),
        may_use=("busctl", "sort"),
        deadline_s=12,
        waits_for=LOOKUPS,
        probe_class="sends",
    )


def parse_current(output: Output, control: str) -> frozenset[Address]:
    """`{"type":"(iiay)","data":[0,2,[10,0,20,1]]}` of the manager and of each link that has servers."""
    sections = split(output.text, "resolv.conf", "resolved", "manager", "link ")
    listed = nameservers(sections["resolv.conf"])
    if not listed:
        raise Unparseable("no DNS server is configured")
    if not any(server in STUBS for server in listed):
        return frozenset(listed[:1])
    if sections["resolved"].strip() != "found":
        raise NoControl(f"{control} is not found, so resolved's current server answers nothing")
    current, servers = sections["manager"].splitlines()
    entries = from_json(servers, "busctl")["data"]
    found = {0: current} | {int(k.removeprefix("link ")): v for k, v in sections.items() if k.startswith("link ")}
    missing = {interface for interface, *_ in entries} - found.keys()
    if missing:
        raise Unparseable(f"resolved has servers on the interfaces {sorted(missing)}, which were not asked")
    return frozenset(a for text in found.values() if (a := _current(text)) is not None)


def _current(text: str) -> Address | None:
    """None where a scope has no server, or has asked none yet: then it has no address."""
    reply = from_json(text, "busctl")
    if not isinstance(reply, dict) or reply.get("type") not in ("(iiay)", "(iay)"):
        raise Unparseable(f"not the reply about CurrentDNSServer: {text[:200]!r}")
    *_, family, address = reply["data"]
    return resolved_address(family, address) if address else None


def resolved_settings(host: Host) -> Ask[Mapping[str, str]]:
    """How resolved asks on `host`: domains, LLMNR, DNSSEC, …; empty where resolv.conf does not lead to it."""
    return command(
        host,
        _SETTINGS,
        probe="resolved's settings",
        parse=parse_settings,
        at_most=SMALL,
        tools=("cat", "grep"),
        may_use=("busctl",),
    )


def parse_settings(output: Output) -> Mapping[str, str]:
    """One line of JSON for each property, in order."""
    sections = split(output.text, "resolv.conf", "resolved")
    listed = nameservers(sections["resolv.conf"])
    if not listed:
        raise Unparseable("no DNS server is configured")
    if not any(server in STUBS for server in listed):
        return {}
    lines = sections["resolved"].splitlines()
    replies = [from_json(line, "busctl") for line in lines]
    if len(replies) != len(SETTINGS) or not all(isinstance(r, dict) and r.keys() == {"type", "data"} for r in replies):
        raise Unparseable(f"busctl was asked for {len(SETTINGS)} properties: {sections['resolved'][:200]!r}")
    if [r["type"] for r in replies] != ["a(isb)", *"ssss"]:
        raise Unparseable(f"busctl gives other types than resolved's properties have: {sections['resolved'][:200]!r}")
    domains, *words = (r["data"] for r in replies)
    if not set(words) <= _WORDS:
        raise Unparseable(f"busctl gives words that resolved does not know: {words}")
    return dict(zip(SETTINGS, (_domains(domains), *words), strict=True))


def _domains(data: list[tuple[int, str, bool]]) -> str:
    """As resolved.conf writes them: `~home.example` is only routed, not searched."""
    if not all(isinstance(domain, str) and isinstance(route_only, bool) for _, domain, route_only in data):
        raise Unparseable(f"busctl gives no domains: {str(data)[:200]}")
    return " ".join(f"{'~' if route_only else ''}{domain}" for _, domain, route_only in data)
