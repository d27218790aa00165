"""systemd-resolved: the server it is on, and the settings that nobody writes down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from siteproof.asks import HOST_NAME, LOOKUPS, SMALL, Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import END, from_json, section, split
from siteproof.probes.names.forms import in_any_encoding, in_one_form
from siteproof.probes.names.resolver import STUBS, Listing, read_resolv_conf, resolved_address

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
    {_GET} {_MANAGER} CurrentDNSServer DNS Domains || exit
    for link in $({_GET} {_MANAGER} DNS | grep -o '\\[[0-9]*,[0-9]*,\\[' | sort -u); do
        link=${{link#[}}
        link=${{link%%,*}}
        case $link in 0) continue ;; *[!0-9]* | '') exit 1 ;; esac
        {section("link ")}"$link"
        {_GET} org.freedesktop.resolve1 "/org/freedesktop/resolve1/link/_3$link" \\
            org.freedesktop.resolve1.Link CurrentDNSServer DefaultRoute || exit
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


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of resolved's world: what it is told for all, or for one link."""

    server: Address | None
    """The one that it is on now; None where it has none, or has asked none yet."""
    domains: tuple[str, ...]
    """What is searched there or only routed there, `.` for all names."""
    default: bool
    """Whether names that are in nobody's domains come here."""

    def match(self, name: str) -> int:
        """How well it fits a name: by the labels of its longest domain that has it; -1 as a default, -2 not at all."""
        labels = [len(d.split(".")) if d else 0 for d in self.domains if not d or f".{name}".endswith(f".{d}")]
        return max(labels, default=-1 if self.default else -2)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked on a host: resolved, in its scopes; or, where there is none of these, the servers of resolv.conf."""

    listing: Listing = Listing(())
    scopes: tuple[Scope, ...] = ()

    @property
    def current(self) -> frozenset[Address]:
        """The servers that programs are answered by now, whatever the name."""
        if self.scopes:
            return frozenset(scope.server for scope in self.scopes if scope.server is not None)
        return frozenset(self.listing.asked if "rotate" in self.listing.options else self.listing.asked[:1])

    def about(self, name: str) -> tuple[frozenset[Address], ...]:
        """Who is asked about `name`, one after the other: all of the first, and the next where these are silent."""
        if not self.scopes:
            return tuple(frozenset({server}) for server in self.listing.asked)
        able = [scope for scope in self.scopes if scope.server is not None]
        best = max((scope.match(in_one_form(name)) for scope in able), default=-2)
        chosen = [scope for scope in able if scope.match(in_one_form(name)) == best > -2]
        return (frozenset(scope.server for scope in chosen if scope.server is not None),)


def asked_servers(host: Host, *, control: str) -> Ask[Asked]:
    """Who answers programs on `host` now: resolved's current server, of every scope that has one, or resolv.conf's.

    `control` is looked up before, so that resolved is on a server; if it is not found, NoControl.
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


def current_servers(host: Host, *, control: str) -> Ask[frozenset[Address]]:
    """The servers that programs on `host` are answered by now, whatever the name (see `asked_servers`).

    glibc by itself begins with the first server of resolv.conf every time, but with any of them where it says `rotate`.
    """
    return asked_servers(host, control=control).then(lambda asked: asked.current)


def parse_current(output: Output, control: str) -> Asked:
    """`{"type":"(iiay)","data":[0,2,[10,0,20,1]]}` of the manager and of each link that has servers."""
    sections = split(in_any_encoding(output.text), "resolv.conf", "resolved", "manager", "link ")
    listing = read_resolv_conf(sections["resolv.conf"])
    if not listing.asked:
        raise Unparseable("no DNS server is configured")
    if not any(server in STUBS for server in listing.asked[:1]):
        # One that is listed twice is asked again, and answers what it answered.
        return Asked(replace(listing, listed=tuple(dict.fromkeys(listing.asked))))
    if sections["resolved"].strip() != "found":
        raise NoControl(f"{control} is not found, so resolved's current server answers nothing")
    current, servers, domains = sections["manager"].splitlines()
    entries = from_json(servers, "busctl")["data"]
    links = {int(k.removeprefix("link ")): v for k, v in sections.items() if k.startswith("link ")}
    if missing := {interface for interface, *_ in entries} - links.keys() - {0}:
        raise Unparseable(f"resolved has servers on the interfaces {sorted(missing)}, which were not asked")
    routed = from_json(domains, "busctl")
    if routed.get("type") != "a(isb)":
        raise Unparseable(f"not the reply about Domains: {domains[:200]!r}")
    of = {}
    for number, text in {0: f'{current}\n{{"type":"b","data":true}}', **links}.items():
        own = [in_one_form(domain) for interface, domain, _ in routed["data"] if interface == number]
        server, default = text.splitlines()
        of[number] = _scope(server, default, own)
    return Asked(scopes=tuple(of.values()))


def _scope(server: str, default: str, domains: list[str]) -> Scope:
    said = from_json(default, "busctl")
    if not isinstance(said, dict) or said.get("type") != "b" or not isinstance(said.get("data"), bool):
        raise Unparseable(f"not the reply about DefaultRoute: {default[:200]!r}")
    return Scope(_current(server), tuple(domains), said["data"])


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
    sections = split(in_any_encoding(output.text), "resolv.conf", "resolved")
    listing = read_resolv_conf(sections["resolv.conf"])
    if not listing.asked:
        raise Unparseable("no DNS server is configured")
    if not any(server in STUBS for server in listing.listed):
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
