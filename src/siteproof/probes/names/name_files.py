"""The files of a host that decide about names: hosts, nsswitch.conf, resolv.conf, and whatever sets a resolver."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from siteproof.asks import Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import END, section, split
from siteproof.probes.names.resolver import nameservers

# cloud-init writes /etc/hosts anew from its template when the host starts.
_HOSTS = "/etc/hosts /etc/cloud/templates/hosts*"
# What systemd-resolved, its network manager, netplan, cloud-init, resolvconf, NetworkManager and dhclient are told.
_RESOLVER_FILES = """\
/etc/systemd/resolved.conf /etc/systemd/resolved.conf.d/*.conf /run/systemd/resolved.conf.d/*.conf \
/usr/local/lib/systemd/resolved.conf.d/*.conf /usr/lib/systemd/resolved.conf.d/*.conf \
/etc/systemd/network/*.network /etc/systemd/network/*.network.d/*.conf /run/systemd/network/*.network \
/etc/cloud/cloud.cfg /etc/cloud/cloud.cfg.d/*.cfg /etc/network/interfaces \
/etc/network/interfaces.d/* /etc/resolvconf/resolv.conf.d/* /etc/NetworkManager/conf.d/*.conf /etc/dhcp/dhclient.conf \
/etc/dhcpcd.conf"""
_SETS_SERVERS = re.compile(
    r"(DNS|FallbackDNS|Domains)\s*=\s*\S"  # systemd; an empty value takes back what was set before
    r"|-?\s*\"?(nameservers?|resolv_conf|manage_resolv_conf)\b"  # netplan, cloud-init, resolvconf
    r"|dns-(nameservers?|search)\s"  # ifupdown
    r"|(append|prepend|supersede|default)\s+domain-name-servers\s"  # dhclient
    r"|(static\s+)?domain_name_servers\s*="  # dhcpcd
    r"|servers\s*=\s*\S"  # NetworkManager's [global-dns]
)
# systemd reads one file of a name: the first of these directories wins, and a link to /dev/null there hides the rest.
_DIRECTORIES = ("/etc/", "/run/", "/usr/local/lib/", "/usr/lib/")


def _each_file(patterns: str) -> str:
    return f"""\
for file in {patterns}; do
    [ -e "$file" ] || continue
    {section("file ")}"$file"
    [ ! -f "$file" ] || cat "$file" || exit
done
"""


# Its files are root's alone; it tells what they come to, whatever they are called.
_NETPLAN = f"""\
for file in /etc/netplan/*.yaml; do
    [ -e "$file" ] || break
    {section("file /etc/netplan")}
    $ROOT netplan get all || exit
    break
done
"""


_HOSTS_FILES = f"{_each_file(_HOSTS)}{END}"
_ORDER = f"""\
{section("nsswitch.conf")}
cat /etc/nsswitch.conf || exit
{END}"""
_RESOLV_CONF = f"""\
{section("path")}
readlink -f /etc/resolv.conf || exit
{section("text")}
cat /etc/resolv.conf || exit
{END}"""
_SETTINGS = f"{_each_file(f'/etc/resolv.conf {_RESOLVER_FILES}')}{_NETPLAN}{END}"


def _files(output: Output) -> dict[str, str]:
    return {k.removeprefix("file "): v for k, v in split(output.text, "file ").items()}


@dataclass(frozen=True, slots=True)
class HostsEntry:
    """A line of a hosts file, or of a template for one."""

    file: str
    address: Address
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {self.address} {' '.join(self.names)}"


def hosts_entries(host: Host) -> Ask[tuple[HostsEntry, ...]]:
    """Every entry of /etc/hosts and of cloud-init's templates for it, in order.

    An /etc/hosts without `localhost` is not believed: NoControl.
    """
    return command(
        host,
        _HOSTS_FILES,
        probe="/etc/hosts and its templates",
        parse=parse_hosts,
        tools=("cat",),
    )


def parse_hosts(output: Output) -> tuple[HostsEntry, ...]:
    """Lines of a template that hold a placeholder instead of an address speak of the host itself, and are left out."""
    entries = [entry for file, text in _files(output).items() for entry in _hosts(file, text)]
    if not any(e.file == "/etc/hosts" and "localhost" in e.names for e in entries):
        raise NoControl("/etc/hosts does not know localhost, so it was not read as it is")
    return tuple(dict.fromkeys(entries))


def _hosts(file: str, text: str) -> Iterator[HostsEntry]:
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if not address or (file != "/etc/hosts" and not re.match(r"[0-9a-fA-F:.]+$", address)):
            continue
        try:
            yield HostsEntry(file, ip_address(address.partition("%")[0]), tuple(name.lower() for name in names))
        except ValueError:
            raise Unparseable(f"not a line of a hosts file: {line[:200]!r}") from None


def lookup_order(host: Host) -> Ask[str]:
    """The `hosts:` line of nsswitch.conf, its words parted by one space: `files resolve [!UNAVAIL=return] dns`."""
    return command(
        host,
        _ORDER,
        probe="hosts: of /etc/nsswitch.conf",
        parse=parse_order,
        tools=("cat",),
    )


def parse_order(output: Output) -> str:
    """Raises Unparseable where there is no such line, or more than one."""
    text = split(output.text, "nsswitch.conf")["nsswitch.conf"]
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    found = [words[1:] for words in lines if words and words[0] == "hosts:"]
    if len(found) != 1 or not found[0]:
        raise Unparseable(f"nsswitch.conf has {len(found)} lines `hosts:`")
    return " ".join(found[0])


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What /etc/resolv.conf is."""

    path: str
    """The file itself, symbolic links followed."""
    servers: tuple[Address, ...]


def resolv_conf(host: Host) -> Ask[ResolvConf]:
    """The file that /etc/resolv.conf leads to on `host`, and the servers it lists."""
    return command(
        host,
        _RESOLV_CONF,
        probe="readlink /etc/resolv.conf",
        parse=parse_resolv_conf,
        tools=("readlink", "cat"),
    )


def parse_resolv_conf(output: Output) -> ResolvConf:
    """Raises Unparseable where no server is listed: glibc would then ask the host itself."""
    sections = split(output.text, "path", "text")
    path, servers = sections["path"].strip(), nameservers(sections["text"])
    if not path.startswith("/") or "\n" in path:
        raise Unparseable(f"readlink printed no path: {path[:200]!r}")
    if not servers:
        raise Unparseable(f"{path} lists no server")
    return ResolvConf(path, tuple(dict.fromkeys(servers)))


def resolver_settings(host: Host) -> Ask[Mapping[str, tuple[str, ...]]]:
    """File -> its lines that set DNS servers or domains, for every file that does and is in force."""
    return command(
        host,
        _SETTINGS,
        probe="files that set a resolver",
        parse=parse_settings,
        tools=("cat",),
        may_use=("netplan",),
        root=True,
    )


def parse_settings(output: Output) -> Mapping[str, tuple[str, ...]]:
    """/etc/resolv.conf, which always lists a server, is the control and not one of the answers."""
    files = _files(output)
    if not nameservers(files.pop("/etc/resolv.conf", "")):
        raise NoControl("/etc/resolv.conf was read without a server in it, so the other files may have lines too")
    found = {}
    for file, text in files.items():
        lines = [line.strip() for line in text.splitlines()]
        if (lines := [line for line in lines if _SETS_SERVERS.match(line)]) and not _hidden(file, files):
            found[file] = tuple(dict.fromkeys(lines))
    return found


def _hidden(file: str, files: Mapping[str, str]) -> bool:
    for directory in _DIRECTORIES:
        if file.startswith(directory):
            rest, before = file.removeprefix(directory), _DIRECTORIES[: _DIRECTORIES.index(directory)]
            return rest.startswith("systemd/") and any(f"{other}{rest}" in files for other in before)
    return False
