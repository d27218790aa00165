"""The incident of 2026-06-10, step by step, and what the suite would have told the operator at each.

Image pulls rode the site's own public address, reflected by the router, on every node; the reflection died in the
night; by noon the nodes had been pinned, then given a routing domain, then made stock again with the answer where it
belongs, on the edge's resolver.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_command import lab_ok, needs_root, own_lab

from lab import suite
from lab.suite import Report

pytestmark = [pytest.mark.lab, needs_root]

NODES = ("cp1", "worker1")
UNBOUND = "/etc/unbound/unbound.conf"
NO_FORWARD = "/^forward-zone:/{N;/home[.]example/{N;N;d}}"
NO_REFLECTION = """
    handle=$(nft -a list chain ip nat postrouting | sed -n 's/.*nat reflection.* handle //p')
    nft delete rule ip nat postrouting handle "$handle"
    conntrack -D -d 198.51.100.76 || true"""
PIN = "10.0.20.203 forgejo.home.example"
DROP_IN = "/etc/systemd/resolved.conf.d/home.conf"
ROUTING_DOMAIN = "[Resolve]\\nDNS=10.0.20.201\\nDomains=~home.example\\n"
RESTART = "systemctl reset-failed systemd-resolved; systemctl restart systemd-resolved"


class Site:
    """A lab of the test's own, and the suite on it."""

    def __init__(self, name: str, reports: Path) -> None:
        self._name = name
        self._reports = (reports / str(number) for number in itertools.count())

    def on(self, host: str, script: str) -> None:
        lab_ok(self._name, "exec", host, "--", "sh", "-euc", script)

    def on_nodes(self, script: str) -> None:
        for node in NODES:
            self.on(node, script)

    def judged(self) -> Report:
        return suite.judge(self._name, "lab", next(self._reports))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with own_lab("hairpin") as name:
        lab_ok(name, "up")
        yield Site(name, tmp_path_factory.mktemp("reports"))


def violated(report: Report) -> set[str]:
    return {result.check for result in report.results.values() if result.verdict == "violated"}


def roots(report: Report) -> set[str]:
    """The checks of names that an operator sees as findings of their own."""
    found = json.loads(report.path.read_text())["results"]
    alone = {r["id"] for r in found if r["verdict"] == "violated" and r["follows_from"] is None}
    return {id for id in alone if id.startswith("dns-")}


def pulls(report: Report) -> list[str]:
    return [report.results[f"pull-live-no-public[{node}]"].verdict for node in NODES]


def test_the_incident_as_the_suite_would_have_told_it(site: Site) -> None:
    """One test, since each step stands on the one before."""
    # Weeks before. Nobody forwards the zone, so everybody gets the public address, and pulls work, over the reflection.
    site.on("edge", f"cp {UNBOUND} {UNBOUND}.bak; sed -i '{NO_FORWARD}' {UNBOUND}; systemctl reload unbound")
    site.on_nodes("resolvectl flush-caches")
    before = site.judged()
    assert roots(before) == {"dns-edge-override"}
    assert {"dns-every-server-agrees", "dns-split-answer", "pull-live-no-public"} < violated(before)
    assert pulls(before) == ["violated", "violated"]
    assert "i/o timeout" not in before.results["pull-live-no-public[cp1]"].text

    # 02:15, the reflection dies. The cause is still the same one, and now there is an impact.
    site.on("edge", NO_REFLECTION)
    died = site.judged()
    assert roots(died) == {"dns-edge-override"}
    assert "198.51.100.76:443: i/o timeout" in died.results["pull-live-no-public[cp1]"].text

    # 09:48, a pin on the nodes: pulls work, programs get the right address, and DNS is as wrong as before.
    site.on_nodes(f"echo '{PIN}' >> /etc/hosts")
    pinned = site.judged()
    assert pulls(pinned) == ["held", "held"]
    assert pinned.results["dns-split-answer[cp1-forgejo.home.example]"].verdict == "held"
    assert pinned.results["dns-every-server-agrees[cp1-forgejo.home.example]"].verdict == "violated"
    assert roots(pinned) == {"dns-edge-override", "dns-no-hosts-pin"}

    # The same day, a routing domain in place of the pin. Its server is merged with the other one: nobody can say which
    # of them answers next, so nothing is asserted of the pulls.
    site.on_nodes(f"sed -i '/forgejo/d' /etc/hosts; printf '{ROUTING_DOMAIN}' > {DROP_IN}; {RESTART}")
    routed = site.judged()
    assert {"dns-no-dropins", "dns-secondary-policy", "dns-every-server-agrees", "dns-fleet-parity"} < violated(routed)
    assert {"dns-edge-override", "dns-no-dropins"} <= roots(routed)
    assert "dns-no-hosts-pin" not in violated(routed)

    # By night: stock nodes, the answer on the edge's resolver. The reflection is still dead, and nothing needs it.
    site.on("edge", f"cp {UNBOUND}.bak {UNBOUND}; systemctl reload unbound")
    site.on_nodes(f"rm {DROP_IN}; {RESTART}")
    assert site.judged().loud == {}
