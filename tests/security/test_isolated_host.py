"""The host that other tests stand on is one of its own, and nothing of it is left."""

from __future__ import annotations

import os
from pathlib import Path

from isolated_host import isolated_host

from siteproof.asks import Command, Output
from siteproof.evidence.store import Store
from siteproof.gather import LocalGatherer


def test_what_root_does_there_is_seen_nowhere_else(tmp_path: Path) -> None:
    before = Path("/etc/passwd").read_bytes(), Path("/etc/sudoers").read_bytes(), os.uname().nodename
    with isolated_host() as host:
        host.add_user("prober", "correct horse")
        host.sudoers("prober ALL = (root) NOPASSWD: /usr/bin/id -u")
        host.write("/usr/local/bin/siteproof_test", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
        host.run("siteproof_test </dev/null >/dev/null 2>&1 & : >/tmp/siteproof_test; : >/etc/siteproof_test")
        connection = host.connection("cp1", host.let_in("prober"), user="prober")
        gatherer = LocalGatherer({"cp1": connection}, store := Store(tmp_path / "evidence"), "abcdef012345")
        question = Command("cp1", "id", 5, "reads", "id -un; uname -n; sudo -n id -u; sudo -n id 2>&1", root=False)
        gatherer.ask([question])
        gatherer.close()
        answer = store.get(question)
        assert isinstance(answer, Output)
        assert answer.text.split("\n")[:3] == ["prober", host.name, "0"]
        assert "password is required" in answer.text
        assert host.run("id -un", user="prober").stdout == "prober\n"
        pid = host._pid
    assert (Path("/etc/passwd").read_bytes(), Path("/etc/sudoers").read_bytes(), os.uname().nodename) == before
    left = ("/usr/local/bin/siteproof_test", "/tmp/siteproof_test", "/etc/siteproof_test", "/home/prober")  # noqa: S108
    assert [path for path in (*left, f"/proc/{pid}", str(host.directory)) if Path(path).exists()] == []
    assert not any(str(host.directory) in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
