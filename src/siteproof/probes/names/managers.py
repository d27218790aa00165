"""Programs that give a host its DNS servers, and whose settings are not looked at (see `resolver_files`).

There is no end of such programs. So those are named that run, that are known to do it, and of which nothing was read;
what all of them come to together is what `resolver_servers` tells.
"""

from __future__ import annotations

from siteproof.asks import SMALL, Ask, Host, Output, command
from siteproof.errors import NoControl
from siteproof.probes.common.sections import END, section, split, words

_SCRIPT = f"""\
{section("running")}
for file in /proc/[0-9]*/comm; do
    {{ read -r name <"$file"; }} 2>/dev/null || continue
    printf '%s\\n' "$name"
done
{END}
"""
MANAGERS = words(
    """
    charon-systemd dnsmasq kresd netbird netifd nordvpnd openconnect openvpn pppd tailscaled udhcpc vpnc warp-svc
    wickedd xl2tpd zerotier-one
    """
)
"""As the kernel shows their names, cut after 15 letters. dnsmasq and kresd: they ask others, where a host asks them."""


def resolver_managers(host: Host) -> Ask[tuple[str, ...]]:
    """Those of MANAGERS that run on `host`, in the order of the alphabet; in containers that it sees too.

    Without a first process nothing was seen: NoControl.
    """
    return command(host, _SCRIPT, probe="programs that set a resolver", parse=parse, at_most=SMALL, tools=())


def parse(output: Output) -> tuple[str, ...]:
    """The name of each process, one a line."""
    running = split(output.text, "running")["running"].splitlines()
    if not running:
        raise NoControl("no process was seen, and at least this one runs")
    return tuple(sorted(MANAGERS & set(running)))
