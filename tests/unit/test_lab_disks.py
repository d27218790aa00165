"""What a host's disk is made of, without mounting one; tests/lab fills one."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from lab import disks
from lab.build.machine import find_tool
from lab.errors import LabError

MKE2FS, DEBUGFS = find_tool("mke2fs"), find_tool("debugfs")


def test_the_request_to_the_kernel_is_as_long_as_it_reads() -> None:
    assert disks._CONFIG.size == 304


@pytest.mark.skipif(not MKE2FS or not DEBUGFS, reason="this machine has no e2fsprogs")
def test_a_disk_is_of_bounded_size_takes_what_it_holds_and_holds_what_it_was_given(tmp_path: Path) -> None:
    layer = tmp_path / disks.CONTENT / "layer/upper"
    layer.mkdir(parents=True)
    (layer / "secret").write_text("kept")
    (layer / "secret").chmod(0o600)
    (layer / "resolv.conf").symlink_to("../run/stub")
    assert MKE2FS
    assert DEBUGFS
    disks.make(MKE2FS, tmp_path)
    image = tmp_path / disks.IMAGE
    assert image.stat().st_size == disks.SIZE
    assert image.stat().st_blocks * 512 < 16 << 20
    assert sorted(path.name for path in tmp_path.iterdir()) == [disks.CONTENT, disks.IMAGE]

    def asked(question: str) -> str:
        line = [DEBUGFS, "-R", question, str(image)]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    said = asked("stat /layer/upper/secret")
    assert re.search(r"Mode: +0600", said)
    assert re.search(rf"User: +{os.getuid()}\b", said)
    assert 'Fast link dest: "../run/stub"' in asked("stat /layer/upper/resolv.conf")
    assert "has_journal" not in asked("features")


@pytest.mark.skipif(not MKE2FS, reason="this machine has no e2fsprogs")
def test_a_disk_that_cannot_be_made_is_not_there(tmp_path: Path) -> None:
    assert MKE2FS
    with pytest.raises(OSError, match="could not make"):
        disks.make(MKE2FS, tmp_path)  # there is no content
    assert not (tmp_path / disks.IMAGE).exists()


def test_a_disk_that_is_in_use_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "SECONDS", 0.05)
    file = f"{tmp_path}/hosts/dns/{disks.IMAGE}"
    monkeypatch.setattr(disks, "_ours", lambda: [(5000, file), (5001, None), (5002, "/somebody/elses")])
    with pytest.raises(LabError, match=re.escape(f"still in use: {file}")):
        disks.clear(tmp_path)
