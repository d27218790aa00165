"""The files of a host that decide about names: hosts, nsswitch.conf, resolv.conf."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from siteproof.asks import Ask, Host, Output, command
from siteproof.asks.words import Address
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.common.sections import END, section, split
from siteproof.probes.names.forms import in_any_encoding, in_one_form
from siteproof.probes.names.resolver import as_libc_reads, read_resolv_conf

# cloud-init writes /etc/hosts anew from its template when the host starts.
_HOSTS = "/etc/hosts /etc/cloud/templates/hosts*"


def _each_file(patterns: str) -> str:
    return f"""\
for file in {patterns}; do
    [ -e "$file" ] || continue
    {section("file ")}"$file"
    [ ! -f "$file" ] || cat "$file" || exit
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


def files(output: Output) -> dict[str, str]:
    """File -> its text, in order."""
    return {k.removeprefix("file "): v for k, v in split(in_any_encoding(output.text), "file ").items()}


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
    entries = [entry for file, text in files(output).items() for entry in _hosts(file, text)]
    if not any(e.file == "/etc/hosts" and "localhost" in e.names for e in entries):
        raise NoControl("/etc/hosts does not know localhost, so it was not read as it is")
    return tuple(dict.fromkeys(entries))


def _hosts(file: str, text: str) -> Iterator[HostsEntry]:
    for line in text.split("\n"):
        word, *names = line.partition("#")[0].split() or [""]
        if not word:
            continue
        if (address := as_libc_reads(word)) is not None:
            yield HostsEntry(file, address, tuple(in_one_form(name) for name in names))
        # libc passes over what is no address, and so do we where it is only that.
        elif file == "/etc/hosts" and not re.fullmatch(r"[A-Za-z0-9._:%/-]+", word, re.ASCII):
            raise Unparseable(f"not a line of a hosts file: {line[:200]!r}")


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
    text = split(in_any_encoding(output.text), "nsswitch.conf")["nsswitch.conf"]
    lines = (line.partition("#")[0].lstrip() for line in text.split("\n"))
    found = [
        rest.split()
        for line in lines
        for name, colon, rest in [line.partition(":")]
        if name.rstrip() == "hosts" and colon
    ]
    if len(found) != 1 or not found[0]:
        raise Unparseable(f"nsswitch.conf has {len(found)} lines `hosts:`")
    return " ".join(found[0])


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What /etc/resolv.conf is."""

    path: str
    """The file itself, symbolic links followed."""
    servers: tuple[Address, ...]
    """All that it lists, also those too far down to be asked."""


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
    sections = split(in_any_encoding(output.text), "path", "text")
    path, servers = sections["path"].strip(), read_resolv_conf(sections["text"]).listed
    if not path.startswith("/") or "\n" in path:
        raise Unparseable(f"readlink printed no path: {path[:200]!r}")
    if not servers:
        raise Unparseable(f"{path} lists no server")
    return ResolvConf(path, tuple(dict.fromkeys(servers)))
