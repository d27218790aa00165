"""Scripts that create overlays, guards, and what is in a swarm's way, without any daemon."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from siteproof.analysis.swarm import Creation, creations, out_of_order, unreached
from siteproof.errors import NoControl, Unparseable
from siteproof.probes.swarm.overlay_ping import Pings

NIX = """\
  # docker network create --driver overlay --attachable --subnet 10.9.0.0/16 proxy
  script = ''
    docker network inspect proxy >/dev/null 2>&1 || \\
      docker network create --driver overlay --attachable \\
        --subnet 10.10.0.0/16 proxy
    docker network create --driver overlay other
  '';
""".splitlines()


def test_the_line_that_creates_an_overlay_is_found_beyond_comments_and_line_ends() -> None:
    assert creations(NIX, "proxy") == [Creation(3, IPv4Network("10.10.0.0/16"), hides_errors=False)]


@pytest.mark.parametrize(
    ("line", "subnet", "hides"),
    [
        ("docker network create --subnet=10.10.0.0/16 proxy", "10.10.0.0/16", False),
        ("docker network create --driver overlay --attachable proxy", None, False),
        ("docker network create --subnet 10.10.0.0/16 proxy || true", "10.10.0.0/16", True),
        ("docker network create --subnet 10.10.0.0/16 proxy 2>/dev/null", "10.10.0.0/16", True),
    ],
)
def test_what_a_line_creates(line: str, subnet: str | None, hides: bool) -> None:
    assert creations([line], "proxy") == [Creation(1, IPv4Network(subnet) if subnet else None, hides)]


@pytest.mark.parametrize(
    "line", ["docker network create proxy2", "docker network rm proxy", "# network create proxy", ""]
)
def test_other_lines_create_nothing(line: str) -> None:
    assert creations([line], "proxy") == []


def test_a_subnet_that_is_none_is_no_answer() -> None:
    with pytest.raises(Unparseable):
        creations(["docker network create --subnet $SUBNET proxy"], "proxy")


UPGRADE = ["set -e", "docker network prune -f", "# systemctl restart docker", "systemctl restart docker", "deploy"]


def test_steps_in_their_order_are_no_finding() -> None:
    assert out_of_order(UPGRADE, ["prune", "restart docker"], "deploy") == []


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ([line for line in UPGRADE if not line.startswith("systemctl")], ["restart docker"]),  # the comment is no step
        ([UPGRADE[3], UPGRADE[1], UPGRADE[4]], ["restart docker"]),
        ([UPGRADE[4], *UPGRADE[:4]], ["prune", "restart docker"]),
    ],
)
def test_a_step_that_is_gone_or_late_is_named(script: list[str], missing: list[str]) -> None:
    assert out_of_order(script, ["prune", "restart docker"], "deploy") == missing


def test_a_script_without_the_guarded_line_says_nothing() -> None:
    with pytest.raises(Unparseable):
        out_of_order(UPGRADE[:-1], ["prune"], "deploy")


def test_silence_on_an_overlay_without_anyone_to_send_is_no_answer() -> None:
    with pytest.raises(NoControl):
        unreached({"a": Pings(None, {}), "b": Pings(None, {})}, ())
