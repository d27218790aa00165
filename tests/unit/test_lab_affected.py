"""Which faults a change touches, on a small project under git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import topology
from lab.affected import affected, changed, sample
from lab.errors import UsageError
from lab.faults import Written, load
from lab.following import Plan, Planned

SITE = topology.load()
FAULTS = """
[{name}]
does = "it breaks"
incident = "some night"
break = {{ use = "stops", on = "{host}" }}
roots = "{root}"
"""
STEPS = '[stops]\nbreak = { run = "false" }\nheal = { run = "true" }\n'
FILES = {
    "lab/faults/dns.toml": FAULTS.format(name="name-lost", host="dns", root="dns-answer[cp1]")
    + FAULTS.format(name="names-anew", host="dns2", root="dns-answer[cp1]").replace(
        "\nbreak", '\nheal = { on = "dns2", anew = true }\nbreak'
    ),
    "lab/faults/path.toml": FAULTS.format(name="link-narrow", host="cp1", root="mtu-node[cp1]"),
    "lab/steps.toml": STEPS,
    "lab/exceptions.toml": "",
    "lab/sites/lab/steps.toml": "",
    "lab/sites/other/topology.toml": "",
    "lab/prove.py": "",
    "lab/sites/lab/topology.toml": "",
    "inventories/lab/all.yml": "",
    "docs/faults.md": "",
    "tests_infra/test_dns.py": "from siteproof.probes.dns import answer\n",
    "tests_infra/test_path.py": "def f():\n    from siteproof.probes import link\n",
    "tests_infra/helpers.py": "",
    "src/siteproof/__init__.py": "",
    "src/siteproof/gather.py": "",
    "src/siteproof/probes/__init__.py": "",
    "src/siteproof/probes/dns.py": "from ..runtimes import names\n",
    "src/siteproof/probes/link.py": "",
    "src/siteproof/probes/nobody.py": "",
    "src/siteproof/probes/link.sh": "",
    "src/siteproof/runtimes/__init__.py": "",
    "src/siteproof/runtimes/names.py": "",
}
PLAN = Plan(
    {"dns-answer[cp1]": Planned("dns-answer", "cp1"), "mtu-node[cp1]": Planned("mtu-node", "cp1")},
    {},
    {"dns-answer": "tests_infra/test_dns.py", "mtu-node": "tests_infra/test_path.py"},
)


def git(root: Path, *arguments: str) -> None:
    line = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example", *arguments]
    subprocess.run(line, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    return tmp_path


def reasons(project: Path, revision: str = "") -> dict[str, str]:
    known = load(SITE, Written.of(project / "lab"))
    return affected(known, PLAN, changed(project, revision, "lab"), SITE, project)


DNS, PATH, EVERY = {"name-lost", "names-anew"}, {"link-narrow"}, {"name-lost", "names-anew", "link-narrow"}
ONE_EACH = {"name-lost", "link-narrow"}


@pytest.mark.parametrize(
    ("file", "touched", "why"),
    [
        ("docs/faults.md", set(), ""),
        ("tests_infra/test_dns.py", DNS, "tests_infra/test_dns.py has checks that must notice it: dns-answer"),
        ("tests_infra/helpers.py", EVERY, "tests_infra/helpers.py is beside all checks"),
        ("src/siteproof/probes/dns.py", DNS, "checks that must notice it stand on src/siteproof/probes/dns.py: dns-"),
        ("src/siteproof/runtimes/names.py", DNS, "stand on src/siteproof/runtimes/names.py: dns-answer"),
        ("src/siteproof/probes/link.py", PATH, "stand on src/siteproof/probes/link.py: mtu-node"),
        ("src/siteproof/probes/link.sh", EVERY, "checks that must notice it stand on src/siteproof/probes/link.sh"),
        ("src/siteproof/probes/__init__.py", EVERY, "stand on src/siteproof/probes/__init__.py"),
        ("src/siteproof/probes/nobody.py", ONE_EACH, "who stands on src/siteproof/probes/nobody.py is not seen"),
        ("src/siteproof/probes/new.py", ONE_EACH, "who stands on src/siteproof/probes/new.py is not seen"),
        ("src/siteproof/gather.py", ONE_EACH, "every check stands on src/siteproof/gather.py; one of each subject"),
        ("lab/prove.py", ONE_EACH, "every check stands on lab/prove.py; one of each subject"),
        ("lab/sites/lab/topology.toml", EVERY, "lab/sites/lab/topology.toml is of the site"),
        ("lab/sites/other/topology.toml", set(), ""),
        ("inventories/lab/all.yml", EVERY, "inventories/lab/all.yml is of the site"),
    ],
)
def test_a_changed_file_touches_the_faults_of_what_stands_on_it(
    project: Path, file: str, touched: set[str], why: str
) -> None:
    assert reasons(project) == {}
    with (project / file).open("a") as changed_file:
        changed_file.write("\n# changed\n")
    found = reasons(project)
    assert found.keys() == touched
    assert all(why in said for said in found.values())


def test_of_a_file_of_faults_those_are_touched_whose_tables_differ(project: Path) -> None:
    faults = project / "lab/faults/dns.toml"
    faults.write_text("# only a comment\n" + faults.read_text())
    assert reasons(project) == {}
    faults.write_text(faults.read_text().replace('on = "dns"', 'on = "edge"'))
    (project / "lab/faults/edge.toml").write_text(FAULTS.format(name="new", host="edge", root="mtu-node[cp1]"))
    assert reasons(project) == {
        "name-lost": "its table, or a step that it uses, is another",
        "new": "it is new",
    }


def test_a_named_step_that_changes_touches_those_that_use_it(project: Path) -> None:
    (project / "lab/steps.toml").write_text(STEPS.replace("false", "false || true"))
    assert reasons(project).keys() == EVERY


def test_faults_that_were_written_otherwise_are_all_touched(project: Path) -> None:
    steps = project / "lab/steps.toml"
    steps.write_text("[stops]\n")
    git(project, "commit", "--quiet", "--all", "--message", "no longer readable")
    steps.write_text(STEPS)
    assert set(reasons(project, "HEAD").values()) == {"how it was before cannot be read"}


def test_a_branch_is_compared_with_where_it_left_main(project: Path) -> None:
    git(project, "switch", "--quiet", "--create", "branch")
    (project / "lab/prove.py").write_text("# changed")
    git(project, "commit", "--quiet", "--all", "--message", "on the branch")
    assert reasons(project).keys() == ONE_EACH
    assert reasons(project, "HEAD") == {}
    with pytest.raises(UsageError, match="git diff"):
        reasons(project, "nothing")


def test_the_sample_has_one_fault_of_each_subject_and_makes_no_host_anew() -> None:
    known = load(SITE).by_id.values()
    chosen = sample(known)
    assert sorted(fault.subject for fault in chosen) == sorted({fault.subject for fault in known})
    assert not any(step.anew for fault in chosen for step in fault.steps.heals)
    assert all({"violated", "unknown"} & set(fault.roots.values()) for fault in chosen)
