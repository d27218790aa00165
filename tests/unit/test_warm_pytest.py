"""A pytest that is forked says what one that is started says."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import warm_pytest
from operators_project import Project

pytest_plugins = "pytester"
pytestmark = pytest.mark.slow

CHANGES = re.compile(r"[0-9.]+ ?s\b|=+|\d+T\d+\.\d+Z-\d+|runpytest-\d+|\d+:\d+")


def said(ran: pytest.RunResult) -> list[str]:
    """Without what differs from run to run: times, names of directories, whose test ended first."""
    lines = [CHANGES.sub("…", line) for line in [*ran.outlines, "--", *ran.errlines]]
    return ["".join(sorted(line)) if line.startswith((".", "F")) else line for line in lines]


@pytest.mark.parametrize("options", [(), ("-n2",), ("--no-such-option",)], ids=" ".join)
def test_it_says_the_same(project: Project, options: tuple[str, ...]) -> None:
    assert warm_pytest.can_run()
    project.mtu(1500)
    warm = project.run(*options)
    cold = project.pytester.runpytest_subprocess("tests_infra", "--hosts=site", *options, timeout=60)
    assert (said(warm), warm.ret) == (said(cold), cold.ret)
    assert warm.ret != 0


@pytest.mark.parametrize("module", warm_pytest.LOADED)
def test_what_it_has_loaded_is_there(module: str) -> None:
    """The fork server says nothing of a module that it cannot import."""
    import_module(module)


def test_a_python_that_would_start_otherwise_is_started(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    assert not warm_pytest.can_run()
    assert project.run().ret == pytest.ExitCode.USAGE_ERROR


def test_it_has_the_path_of_a_pytest_that_is_started(project: Project) -> None:
    (project.pytester.path / "conftest.py").write_text(
        'pytest_plugins = ["siteproof.plugin"]\n'
        "import os, sys\nfrom pathlib import Path\n"
        'Path(os.environ["TOLD"]).write_text("\\n".join(sys.path))\n'
    )
    paths = []
    for how in (project.pytest, project.pytester.runpytest_subprocess):
        at = project.pytester.path / how.__name__
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TOLD", str(at))
            how("tests_infra", "--collect-only", "-q")
        paths.append(list(dict.fromkeys(at.read_text().splitlines())))
    assert paths[0] == paths[1]
    assert str(Path(__file__).parent) not in paths[0]
    assert sys.path != paths[0]


def test_who_does_not_end_is_ended(project: Project, tmp_path: Path) -> None:
    (project.pytester.path / "conftest.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(TimeoutError, match="did not end in 2 s"):
        warm_pytest.run(["tests_infra"], tmp_path / "out", tmp_path / "err", timeout_s=2)
