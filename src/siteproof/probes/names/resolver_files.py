"""The files of a host that set its DNS servers or domains, whoever reads them: resolved, NetworkManager, dhclient, …

What such a file says beside that is none of our business, and often a secret (the key of a WLAN, of a tunnel, a
password for a first login). So of files of which that may be so the host shows no more than the lines that speak of DNS
and the headings of their sections.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from siteproof.asks import Ask, Host, Output, command
from siteproof.errors import NoControl
from siteproof.probes.common.sections import END, section
from siteproof.probes.names.name_files import files
from siteproof.probes.names.resolver import nameservers

_SYSTEMD = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
"""systemd reads one file of a name: the first of these that has it wins, and a link to /dev/null hides the rest."""
_OPEN_FILES = " ".join(
    [
        "/etc/resolv.conf /etc/resolv.conf.head /etc/resolv.conf.tail /etc/systemd/resolved.conf",
        *(
            f"{root}/systemd/{files}"
            for files in (
                "resolved.conf.d/*.conf",
                "network/*.network",
                "network/*.network.d/*.conf",
                "dns-delegate.d/*.dns-delegate",
            )
            for root in _SYSTEMD
        ),
        "/etc/NetworkManager/NetworkManager.conf",
        *(f"{root}/NetworkManager/conf.d/*.conf" for root in ("/etc", "/run", "/usr/lib")),
        "/etc/NetworkManager/dnsmasq.d/*.conf",
        "/etc/resolvconf.conf /etc/resolvconf/resolv.conf.d/*",
        "/etc/dhcpcd.conf /etc/connman/main.conf /etc/conf.d/net",
    ]
)
"""Everybody may read them."""
_PLACES = (
    *("/etc/cloud/cloud.cfg", "/etc/dhcp", "/etc/dhclient.conf", "/usr/lib/NetworkManager/system-connections"),
    *("/etc/sysconfig/network-scripts", "/etc/sysconfig/network", "/etc/config/network"),
)
"""Files, and directories of them, that may have secrets in them, and that everybody may read all the same."""
_ROOTS_PLACES = (
    *("/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections", "/var/lib/NetworkManager"),
    *("/etc/cloud/cloud.cfg.d", "/etc/network/interfaces", "/etc/network/interfaces.d", "/etc/wireguard"),
    *("/etc/netctl", "/var/lib/iwd", "/var/lib/connman"),
)
"""As those, and they may be root's alone."""
_NETWORKD_PLACES = ("/etc/systemd/network", "/run/systemd/network")
"""Open files, but for those that netplan makes for networkd since 0.107: they are root's and its group's."""

# As grep -iE reads it. No blank in it, since sudo does not know where words end; no $ and no quote, for sh.
_SHOWN = (
    r"^[[:space:]]*(\[|(-[[:space:]]+)?"
    r"[[:punct:]]?(dns[0-9]*|dns[_-][a-z_]+|dnsdomain|dnssearch|nameservers?|domains?|domainname|search|searchdomains|"
    r"fallbacknameservers|resolv_conf|manage_resolv_conf|netconfig_dns_static_[a-z]+)[[:punct:]]?[[:space:]]*[=:]|"
    r"(-[[:space:]]+)?type:[[:space:]]*[[:punct:]]?nameserver|"
    r"dns-[a-z]+[[:space:]]|source(-directory)?[[:space:]]|(option|list)[[:space:]]+[[:punct:]]?dns)|"
    r"(append|prepend|supersede|default)[[:space:]]+(domain-|dhcp6\.)"
)

_SCRIPT = f"""\
show() {{
    for file; do
        [ -e "$file" ] || continue
        [ -r "$file" ] || case $file in {" | ".join(f"{place}/*" for place in _NETWORKD_PLACES)}) continue ;; esac
        {section("file ")}"$file"
        [ ! -f "$file" ] || sed '/^[[:space:]]*[#;]/d' "$file" || exit
    done
}}
# All of it can be read by who logs in.
open() {{
    [ -r "$1" ] || return
    [ ! -d "$1" ] || [ -x "$1" ] || return
    for one in "$1"/*; do [ ! -e "$one" ] || [ -r "$one" ] || return; done
}}
parted() {{
    while IFS= read -r line; do
        case $line in "$1" | "$1"/*) {section("file ")}"$line" ;; *) printf '%s\\n' "$line" ;; esac
    done <<EOF
$2
EOF
}}
sourced=
show {_OPEN_FILES}
shown='{_SHOWN}'
found() {{
    case $2 in "$1"*) parted "$1" "$2" ;; *) echo "find did not come to $1" >&2; exit 1 ;; esac
}}
for place in {" ".join(_PLACES)}; do
    [ -e "$place" ] || continue
    lines=$(find -H "$place" -maxdepth 2 -print ! -type d -exec grep -aiE "$shown" {{}} \\;) || exit
    found "$place" "$lines"
done
for own in {" ".join((*_ROOTS_PLACES, *_NETWORKD_PLACES))}; do
    [ -e "$own" ] || continue
    if open "$own"; then
        case $own in {" | ".join(_NETWORKD_PLACES)}) continue ;; esac # shown already
        lines=$(find -H "$own" -maxdepth 2 -print ! -type d -exec grep -aiE "$shown" {{}} \\;) || exit
    else
        lines=$($ROOT find -H "$own" -maxdepth 2 -print ! -type d -exec grep -aiE "$shown" {{}} \\;) || exit
    fi
    found "$own" "$lines"
    [ "$own" != /etc/network/interfaces ] || sourced=$lines
done
"""
# ifupdown's file may lead anywhere; what it leads to is read with the rights of who logs in.
_ELSEWHERE = f"""\
lines() {{
    case "$seen " in *" $1 "*) return ;; esac
    seen="$seen $1"
    [ -f "$1" ] || return 0
    {section("file ")}"$1"
    grep -aiE "$shown" "$1"
    [ $? -le 1 ] || exit
}}
seen=
while read -r word paths; do
    case $word in source | source-directory) ;; *) continue ;; esac
    for path in $paths; do
        case $path in /*) ;; *) path=/etc/network/$path ;; esac
        [ "$word" = source ] || path="$path/*"
        for one in $path; do
            case $one in /etc/network/interfaces.d/*) ;; *) lines "$one" ;; esac
        done
    done
done <<EOF
$sourced
EOF
for one in /etc/dhclient-*.conf; do lines "$one"; done
"""
# Its files are root's alone, and have passwords; it tells what they come to, whatever they are called.
_NETPLAN = f"""\
for file in /etc/netplan/*.yaml; do
    [ -e "$file" ] || break
    plan=$($ROOT netplan get all) || exit
    {section("file /etc/netplan")}
    printf '%s\\n' "$plan" | grep -aiE "$shown"
    [ $? -le 1 ] || exit
    break
done
"""
_SETTINGS = f"{_SCRIPT}{_ELSEWHERE}{_NETPLAN}{END}"


def resolver_settings(host: Host) -> Ask[Mapping[str, tuple[str, ...]]]:
    """File -> its lines that set DNS servers or domains, for every file that does and is in force."""
    return command(
        host,
        _SETTINGS,
        probe="files that set a resolver",
        parse=parse,
        tools=("sed", "find", "grep"),
        may_use=("netplan",),
        root=True,
    )


Lines = Iterable[tuple[str, str]]
"""The section that a line stands in, in lower case, and the line."""
Reader = Callable[[Lines], Iterator[str]]


def parse(output: Output) -> Mapping[str, tuple[str, ...]]:
    """/etc/resolv.conf, which always lists a server, is the control and not one of the answers."""
    texts = files(output)
    if not nameservers(texts.pop("/etc/resolv.conf", "")):
        raise NoControl("/etc/resolv.conf was read without a server in it, so the other files may have lines too")
    told: dict[str, list[str]] = {}
    left = {file: text for file, text in texts.items() if not _hidden(file, texts)}
    for kind in _KINDS:
        found = {file: left.pop(file) for file in texts if file in left and kind.names.fullmatch(file)}
        told |= kind.read(found)
    # In the order that they were read in.
    return {file: tuple(dict.fromkeys(told[file])) for file in texts if told.get(file)}


@dataclass(frozen=True)
class _Kind:
    """Files that one program reads in one way."""

    names: re.Pattern[str]
    read: Callable[[Mapping[str, str]], Mapping[str, list[str]]]


def _hidden(file: str, texts: Mapping[str, str]) -> bool:
    for place, root in enumerate(_SYSTEMD):
        if file.startswith(f"{root}/systemd/"):
            return any(f"{other}{file.removeprefix(root)}" in texts for other in _SYSTEMD[:place])
    return False


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Each line with its section; comments and blank lines are left out."""
    name = ""
    for line in (line.strip() for line in text.split("\n")):
        if not line or line[0] in "#;":
            continue
        if heading := re.fullmatch(r"\[([^]]*)\].*", line):
            name = heading[1].strip().lower()
            continue
        yield name, line


def _continued(text: str) -> str:
    """systemd joins a line that ends in a backslash with the next one that is no comment."""
    joined, begun = [], ""
    for line in map(str.strip, text.split("\n")):
        if begun and line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            begun += f"{line[:-1].strip()} "
            continue
        joined.append(begun + line)
        begun = ""
    return "\n".join([*joined, begun])


def _assigned(line: str) -> tuple[str, str]:
    """The key, and its value without the quotes around it."""
    key, _, value = line.partition("=")
    return key.strip(), value.strip().strip("\"'").strip()


def _systemd(section: str, keys: str) -> Callable[[Mapping[str, str]], Mapping[str, list[str]]]:
    """An empty value takes back what was set before, in the same file or in one that was read before it."""
    wanted = keys.split()

    def read(texts: Mapping[str, str]) -> Mapping[str, list[str]]:
        in_force: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
        count = 0
        for file in sorted(texts, key=lambda file: (file.rpartition("/")[2] if ".d/" in file else "", file)):
            for name, line in _sections(_continued(texts[file])):
                key, value = _assigned(line)
                if name == section and key in wanted and "=" in line:
                    count += 1
                    lines = in_force.setdefault((_unit(file), key), [])
                    lines.append((count, file, line)) if value else lines.clear()
        told: dict[str, list[str]] = {}
        for _, file, line in sorted(one for lines in in_force.values() for one in lines):
            told.setdefault(file, []).append(line)
        return told

    return read


def _unit(file: str) -> str:
    """What a file is of, or adds to: `20-lan.network` for `…/20-lan.network.d/dns.conf`."""
    directory, _, name = file.rpartition("/")
    parent = directory.rpartition("/")[2]
    return parent.removesuffix(".d") if parent.endswith((".network.d", ".conf.d")) else name


def _lines(matches: Callable[[str, str], bool]) -> Callable[[Mapping[str, str]], Mapping[str, list[str]]]:
    """Lines that set something by themselves, given their section and themselves."""

    def read(texts: Mapping[str, str]) -> Mapping[str, list[str]]:
        return {file: [line for name, line in _sections(text) if matches(name, line)] for file, text in texts.items()}

    return read


def _keys(sections: str, keys: str) -> Callable[[Mapping[str, str]], Mapping[str, list[str]]]:
    """`key=value` in one of the sections; a value that is empty, or a list of nothing, sets nothing."""
    in_section, wanted = re.compile(sections), re.compile(keys, re.IGNORECASE)

    def matches(name: str, line: str) -> bool:
        key, value = _assigned(line)
        return bool(value.strip("; ,()\"'") and wanted.fullmatch(key) and in_section.fullmatch(name))

    return _lines(matches)


def _words(pattern: str) -> Callable[[Mapping[str, str]], Mapping[str, list[str]]]:
    """Lines that have this in them."""
    found = re.compile(pattern, re.IGNORECASE)
    return _lines(lambda _, line: found.search(line.partition("#")[0]) is not None)


_YAML_KEY = re.compile(r"(?P<indent>\s*(?:-\s+)*)[\"']?(?P<key>[A-Za-z_-]+)[\"']?\s*:(?:\s+(?P<value>.*))?")
_YAML_TRUE = frozenset({"true", "yes", "on", "y", "1"})
_YAML_NOTHING = frozenset({"[]", "{}", "null", "~", "''", '""'})


def _yaml(texts: Mapping[str, str]) -> Mapping[str, list[str]]:
    """netplan's, and cloud-init's: what stands below `resolv_conf` counts only where cloud-init is told to write it."""
    told: dict[str, list[tuple[str, bool, str]]] = {file: [*_yaml_keys(text)] for file, text in texts.items()}
    flags = [line for keys in told.values() for key, _, line in keys if key == "manage_resolv_conf"]
    there = any(key == "resolv_conf" for keys in told.values() for key, _, _ in keys)
    managed = (
        there and bool(flags) and flags[-1].partition(":")[2].partition("#")[0].strip(" \"'").lower() in _YAML_TRUE
    )
    return {file: [line for _, below, line in keys if managed or not below] for file, keys in told.items()}


def _yaml_keys(text: str) -> Iterator[tuple[str, bool, str]]:
    """The keys that speak of DNS: each with whether it is of `resolv_conf`, and its line."""
    below: int | None = None
    for line in text.split("\n"):
        if (found := _YAML_KEY.fullmatch(line.rstrip())) is None:
            continue
        indent, key = len(found["indent"]), found["key"].lower()
        value = (found["value"] or "").partition(" #")[0].strip()
        if below is not None and indent <= below:
            below = None
        inside = below is not None
        if key in ("resolv_conf", "manage_resolv_conf"):
            below = indent if key == "resolv_conf" else below
            yield key, True, line.strip()
        elif value in _YAML_NOTHING:
            continue
        elif inside and key in ("nameservers", "searchdomains", "domain", "sortlist"):
            yield key, True, line.strip()
        elif key in ("nameservers", "dns_nameservers", "dns_search") or (
            key == "type" and value.strip("\"'") == "nameserver"
        ):
            yield key, inside, line.strip()


_IN_SYSTEMD = f"(?:{'|'.join(_SYSTEMD)})/systemd"
_NM = "(?:/etc|/run|/usr/lib|/var/lib)/NetworkManager"
_NO_COPY = r"(?:(?!.*(?:~|\.(?:bak|old|orig|save|swp|rpmnew|rpmorig|rpmsave|dpkg-\w+|pacnew|pacsave)))[^/.][^/]*)"
"""The name of a file that is no copy which an editor or a package has left: nobody reads those."""
_DHCLIENT = (
    r"\b(?:append|prepend|supersede|default)\s+"
    r"(?:domain-(?:name-servers|name|search)|dhcp6\.(?:name-servers|domain-search))(?:\s+[^\s;]|\s*$)"
)
_DNS_OF_IFUPDOWN = r"^dns-(?:nameservers?|search|domain)\s+\S"

_KINDS = (
    _Kind(re.compile(rf"{_IN_SYSTEMD}/resolved\.conf(?:\.d/[^/]*)?"), _systemd("resolve", "DNS FallbackDNS Domains")),
    _Kind(re.compile(rf"{_IN_SYSTEMD}/network/[^/]*\.network(?:\.d/[^/]*)?"), _systemd("network", "DNS Domains")),
    _Kind(re.compile(rf"{_IN_SYSTEMD}/dns-delegate\.d/[^/]*"), _systemd("delegate", "DNS Domains")),
    _Kind(
        re.compile(rf"{_NM}/(?:NetworkManager(?:-intern)?\.conf|conf\.d/[^/]*\.conf)"),
        _keys(r"(?:\.intern\.)?global-dns(?:-domain-.*)?", "searches|servers"),
    ),
    _Kind(re.compile(rf"{_NM}/system-connections/{_NO_COPY}"), _keys("ipv4|ipv6", r"dns|dns\d+|dns-search")),
    _Kind(re.compile(rf"{_NM}/dnsmasq\.d/{_NO_COPY}"), _keys("", "server")),
    _Kind(re.compile("/etc/wireguard/[^/]*.conf"), _keys("interface", "dns")),
    _Kind(re.compile("/var/lib/iwd/[^/]*"), _keys("ipv4|ipv6", "dns|domainname")),
    _Kind(
        re.compile("/var/lib/connman/.*|/etc/connman/main.conf"),
        _keys(".*", r"nameservers|(?:ipv[46]\.)?domains|searchdomains|domain|fallbacknameservers"),
    ),
    _Kind(re.compile(rf"/etc/sysconfig/network(?:-scripts)?/ifcfg-{_NO_COPY}"), _keys("", r"dns\d*|domain|search")),
    _Kind(re.compile("/etc/sysconfig/network/config"), _keys("", "netconfig_dns_static_(?:servers|searchlist)")),
    _Kind(re.compile(f"/etc/netctl/{_NO_COPY}"), _keys("", "dns|dnsdomain|dnssearch")),
    _Kind(re.compile("/etc/conf.d/net"), _keys("", r"dns_(?:servers|domain|search)\w*")),
    _Kind(
        re.compile("/etc/resolvconf.conf"),
        _keys("", "name_servers(?:_append)?|search_domains(?:_append)?|(?:ap|pre)pend_(?:nameservers|search)"),
    ),
    _Kind(
        re.compile("/etc/resolvconf/resolv.conf.d/(?:head|base|tail)|/etc/resolv.conf.(?:head|tail)"),
        _words(r"^(?:nameserver|search|domain)\s+\S"),
    ),
    _Kind(
        re.compile("/etc/config/network"), _words(r"""^(?:option|list)\s+["']?dns(?:_search)?["']?\s+["']*[^"'\s]""")
    ),
    _Kind(re.compile("/etc/(?:dhcp/|dhcp3/)?dhclient[^/]*"), _words(_DHCLIENT)),
    _Kind(
        re.compile("/etc/dhcpcd.conf"),
        _keys("", r"(?:static\s+)?(?:domain_(?:name_servers|name|search)|dhcp6_(?:name_servers|domain_search))"),
    ),
    _Kind(re.compile("/etc/cloud/.*"), _yaml),
    _Kind(re.compile("/etc/netplan(?:/.*)?"), _yaml),
    # ifupdown's, wherever it was told to look.
    _Kind(re.compile(".*"), _words(_DNS_OF_IFUPDOWN)),
)
