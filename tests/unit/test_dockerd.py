"""How long dockerd lives: the kernel's word on the process that systemd names."""

from __future__ import annotations

import pytest
import recorded

from siteproof.errors import NoControl
from siteproof.probes.common.sections import Sections, split
from siteproof.probes.swarm.dockerd import parse_daemon

LAB = Sections(split(recorded.load(recorded.DIRECTORY / "systemctl/systemctl-252-lab-process.toml").output.text))


def test_the_kernel_says_since_when() -> None:
    """systemd's clock stands still while the host is suspended; the uptime goes on."""
    stat = f"7 (dockerd) S 1 {' '.join(['0'] * 17)} 10000 1 2"
    up = float(LAB["uptime"].split()[0])
    assert parse_daemon(Sections({**LAB, "process": stat})).up_s == pytest.approx(up - 100)


@pytest.mark.parametrize("stat", ["none", "", f"7 (sleep) S 1 {' '.join(['0'] * 17)} 100 1", "7 (dockerd) S 1 2 3"])
def test_a_process_that_is_no_dockerd_shows_an_old_answer(stat: str) -> None:
    with pytest.raises(NoControl):
        parse_daemon(Sections({**LAB, "process": stat}))
