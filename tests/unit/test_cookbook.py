"""The cookbook's code is a fixture: laid over a copy of the tree, it obeys what everything else obeys.

A block of code says in its first line which file it is, or into which table of a file it goes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
COOKBOOK = PROJECT / "docs/cookbook.md"
RECORDINGS = PROJECT / "tests/cookbook/recordings"
COPIED = ("conftest.py", "pyproject.toml", "src", "tests_infra", "lab", "inventories", "docs")
"""Of the tree; of the tests the helpers, what reads recordings, and those of other tools, which are damage too."""
BLOCK = re.compile(r"^```[a-z]+\n# (?P<file>[\w./]+\.(?:py|ya?ml|toml))(?:, in (?P<table>\w+))?\n.*?^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A file of the cookbook, or a line for a table of one."""

    file: str
    table: str | None
    text: str


def blocks() -> list[Block]:
    found = []
    for match in BLOCK.finditer(COOKBOOK.read_text()):
        lines = match[0].splitlines(keepends=True)[1:-1]
        found.append(Block(match["file"], match["table"], "".join(lines[1:])))
    return found


def lay(block: Block, tree: Path) -> None:
    path = tree / block.file
    if block.table is None:
        assert not path.exists(), f"{block.file} is there already"
        path.write_text(block.text)
        return
    text, place = path.read_text(), re.compile(rf"^{block.table}\b.*\{{\n", re.M)
    assert len(place.findall(text)) == 1, f"{block.file} has no table {block.table}"
    path.write_text(place.sub(lambda found: found[0] + block.text, text))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the cookbook's check in it."""
    made = tmp_path_factory.mktemp("cookbook")
    for name in COPIED:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(PROJECT / name, made / name)
    shutil.copytree(PROJECT / "tests/recordings", made / "tests/recordings")
    shutil.copytree(PROJECT / "tests/unit", made / "tests/unit", ignore=shutil.ignore_patterns("__pycache__", "*.txt"))
    shutil.copy2(PROJECT / "tests/conftest.py", made / "tests/conftest.py")
    for block in blocks():
        lay(block, made)
    shutil.copytree(RECORDINGS, made / "tests/recordings", dirs_exist_ok=True)
    return made


def run(tree: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A tool of Python's, on the tree and its own package."""
    given: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(tree / "src"), "ANSIBLE_INVENTORY": "", **environment}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=tree, env=given, capture_output=True, text=True, timeout=300, check=False
    )


def well(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sources() -> list[str]:
    return [block.file for block in blocks() if block.file.endswith(".py")]


def test_it_is_as_the_linter_wants_it(tree: Path) -> None:
    well(run(tree, "ruff", "check", "--no-cache", *sources()))
    well(run(tree, "ruff", "format", "--no-cache", "--check", *sources()))


def test_its_types_are_right(tree: Path) -> None:
    # Everything that is imported is read as well: the cache of before says what has not changed.
    cache = PROJECT / ".mypy_cache/cookbook"
    well(run(tree, "mypy", f"--cache-dir={cache}", *sources()))


def test_its_folders_import_downwards(tree: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    given = {**os.environ, "PYTHONPATH": str(tree / "src")}
    well(subprocess.run([lint, "--no-cache"], cwd=tree, env=given, capture_output=True, text=True, check=False))


def test_its_recordings_are_read_and_no_damage_is_misread(tree: Path) -> None:
    tests = ["tests/unit/test_recordings.py", "tests/unit/test_corruption.py"]
    counts = tree / "corruption.json"
    line = ["pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", "sshd or every"]
    well(run(tree, *line, SITEPROOF_CORRUPTION=str(counts)))
    seen = json.loads(counts.read_text())["answers"]
    assert seen["misread"] == 0
    assert seen["tried"] > 300


def test_the_example_shows_how_it_is_declared(tree: Path) -> None:
    well(run(tree, "siteproof.previews.example", "inventories/example"))
    written = (tree / "inventories/example/group_vars/nodes/facts.yml").read_text()
    assert '# SSH: who may log in, and how.\nsiteproof_sshd:\n  permit_root_login: "no"' in written


def test_its_facts_are_refused_where_they_are_misspelt(tree: Path) -> None:
    declared = tree / "inventories/lab/group_vars/lan.yml"
    before = declared.read_text()
    declared.write_text(before.replace("permit_root_login", "permit_root_logni"))
    try:
        refused = run(tree, "pytest", "-q", "--hosts=inventories/lab", f"--register={tree / 'register.json'}")
    finally:
        declared.write_text(before)
    assert refused.returncode == 4
    assert "group_vars/lan.yml:1" in refused.stdout + refused.stderr
    assert "did you mean `permit_root_login`" in refused.stdout + refused.stderr


@pytest.fixture(scope="module")
def register(tree: Path) -> Path:
    """What `--register` writes of all checks; it asks the lab for its faults."""
    written = tree / "register.json"
    well(run(tree, "pytest", "-q", "--hosts=inventories/lab", f"--register={written}"))
    return written


def test_the_register_has_it_with_its_fault(register: Path) -> None:
    found = {entry["id"]: entry for entry in json.loads(register.read_text())}
    entry = found["ssh-root-login"]
    assert (entry["asks"], entry["facts"], entry["class"]) == (["sshd_settings"], ["siteproof_sshd"], "reads")
    assert entry["subjects"] == [{"subject": "lan1", "host": "lan1", "among": []}]
    assert "sshd-root-login" in entry["faults"]


def test_the_lab_reads_its_fault(tree: Path, register: Path) -> None:
    said = well(run(tree, "lab", "faults", "--json", "--register", str(register)))
    faults = {fault["id"]: fault for fault in json.loads(said)["faults"]}
    assert faults["sshd-root-login"]["expected"] == {"ssh-root-login[lan1]": "violated"}


def test_what_it_runs_as_root_is_one_command_line(tree: Path) -> None:
    well(run(tree, "pytest", "-q", "--hosts=inventories/lab", f"--sudoers={tree / 'sudoers'}"))
    lines = [line for line in (tree / "sudoers").read_text().splitlines() if "sshd" in line]
    allowed = {line.partition("/sshd ")[2].rstrip(", \\") for line in lines}
    assert allowed == {r"-T -C user\=root\,host\=stranger.invalid\,addr\=192.0.2.1"}


def test_what_it_touches_is_what_the_page_says(
    record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    written = [block.file for block in blocks()]
    assert len(set(written)) == len(written)
    root = [file for file in written if "root_tools" in file]
    probe = [file for file in written if file.startswith("src/siteproof/probes/")]
    counts = {"known": len(written) - len(probe) - len(root)}
    # A recording and its sidecar; every further one is two more.
    counts["new"] = counts["known"] + len(probe) + 2
    counts["root"] = counts["new"] + len(root)
    rows = re.findall(r"^\| .* \| (\d+) \|$", COOKBOOK.read_text(), re.M)
    record_property("files_touched", counts)
    with capsys.disabled():
        print(f"\na check touches {counts['known']} files; {counts['new']} with a new tool, {counts['root']} as root")
    assert [str(count) for count in counts.values()] == rows
    assert counts["known"] <= 4
    assert counts["new"] <= 7
