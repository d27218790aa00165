"""What only looks does so in one process, whatever is said of workers, and looks."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from operators_project import CHECKS, Project

pytest_plugins = "pytester"

PROVEN = CHECKS.replace('family="link",', 'family="link", unproven_because="it is a test\'s",')


@pytest.fixture(autouse=True)
def _nothing_is_unproven(project: Project) -> None:
    project.checks(PROVEN)


SPREAD = {
    "-n2": ("-n2",),
    "-n auto": ("-nauto",),
    "-n2 by scope": ("-n2", "--dist=loadscope"),
    "-d": ("-d", "--tx=2*popen"),
}
LOOKS = {
    "--plan": ("--plan",),
    "--collect-only": ("--collect-only",),
    "--sudoers": ("--sudoers=out",),
    "--register": ("--register=out.md",),
    "--check-access": ("--check-access",),
}
CHANGING = re.compile(
    r"in \d+\.\d+ ?s|^(plugins|platform|rootdir|.*workers?).*$",
)


def told(project: Project, *options: str) -> tuple[int, str, dict[str, str]]:
    for made in project.pytester.path.glob("out*"):
        made.unlink()
    ran = project.run(*options)
    files = {path.name: path.read_text() for path in project.pytester.path.glob("out*")}
    lines = CHANGING.sub("", ran.stdout.str()).replace("=", "").split("\n")
    return int(ran.ret), "\n".join(line.strip() for line in lines if line.strip()), files


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_it_tells_the_same_with_workers_as_without(project: Project, look: tuple[str, ...]) -> None:
    project.hosts["two"] = {"ansible_port": 1}
    code, said, files = told(project, *look, "-n0")
    assert code == (6 if look == ("--check-access",) else 0)
    for spread in SPREAD.values():
        assert told(project, *look, *spread) == (code, said, files)


def test_workers_may_be_said_in_the_ini_file(project: Project) -> None:
    project.hosts["two"] = {"ansible_port": 1}
    project.pytester.makeini("[pytest]\naddopts = -n2 -p no:cacheprovider -p no:hypothesispytest")
    code, said, _ = told(project, "--check-access")
    assert code == 6
    assert said.count("Unreachable") == 1


def test_nobody_looked_is_not_everybody_can_be_asked(project: Project) -> None:
    project.checks(CHECKS + "\nimport no_such_module\n")
    assert project.run("--check-access").ret not in (0, 1)
    assert project.run("--plan").ret == 2
    assert project.run("--sudoers=out").ret == 2
    assert not (project.pytester.path / "out").exists()


@pytest.mark.parametrize(("option", "name", "mode"), [("--sudoers", "out", 0o600), ("--register", "out.md", 0o644)])
@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_nobody_else_may_write_what_it_wrote(project: Project, option: str, name: str, mode: int, there: bool) -> None:
    out = Path(project.pytester.path / name)
    if there:
        out.write_text("what was there\n")
        out.chmod(0o666)
    assert project.run(f"{option}={name}").ret == 0
    assert stat.S_IMODE(out.stat().st_mode) == mode
    assert "what was there" not in out.read_text()


def test_it_is_written_to_where_a_link_points(project: Project) -> None:
    (project.pytester.path / "real").write_text("what was there")
    (project.pytester.path / "out").symlink_to("real")
    assert project.run("--sudoers=out").ret == 0
    assert (project.pytester.path / "out").is_symlink()
    assert "what was there" not in (project.pytester.path / "real").read_text()
