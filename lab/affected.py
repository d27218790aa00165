"""Which faults a change can have touched, and why: from git's diff, the imports of the checks, and the faults' tables.

What a change of the machinery does (transport, gathering, judging, the lab itself) shows in every fault or in none, so
one fault of each subject stands for all. A check that has changed is tried by the faults that it must notice; that it
notices no more than before is only seen in these, and in the proof of all.
"""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.errors import LabError, UsageError
from lab.faults import HELD, Fault, Faults, Written, load
from lab.following import Plan
from lab.topology import Topology

PACKAGE = "siteproof"
SOURCE = PurePosixPath("src") / PACKAGE
CHECKS = PurePosixPath("tests_infra")
# What a check stands on that others do not: elsewhere in the package every check stands on everything.
OF_CHECKS = ("analysis", "facts", "probes", "runtimes")
# The site itself: the hosts, what runs on them, and what is declared of them.
SITE = ("inventories/{site}", "lab/sites/{site}/topology.toml", "lab/sites/{site}/daemons", "lab/daemons", "lab/build")
MACHINERY = ("src", "lab", "conftest.py", "pyproject.toml")
FAULTS = ("lab/faults", "lab/steps.toml", "lab/exceptions.toml", "lab/sites/{site}/steps.toml")
OTHER_SITES = ("lab/sites", "inventories")

Reasons = dict[str, str]


@dataclass(frozen=True)
class Change:
    """What differs between a revision and the working tree."""

    files: tuple[str, ...]
    """From the project's directory, those that are new and those that are gone included."""
    before: Written | None
    """The faults' files as they were; None where they cannot be read, or were of another form."""


def sample(faults: Iterable[Fault]) -> list[Fault]:
    """One fault of each subject, the one that takes the least: no host is made anew, and few steps are taken.

    One whose results all stay held is taken only where there is no other.
    """
    quickest: dict[str, tuple[tuple[bool, int, int], Fault]] = {}
    for fault in faults:
        steps = (*fault.steps.breaks, *fault.steps.heals)
        stays_held = set(fault.roots.values()) == {HELD}
        cost = (stays_held, sum(step.anew for step in steps), sum(len(step.hosts) for step in steps))
        if fault.subject not in quickest or cost < quickest[fault.subject][0]:
            quickest[fault.subject] = cost, fault
    return [fault for _, fault in quickest.values()]


def affected(known: Faults, plan: Plan, change: Change, topology: Topology, root: Path) -> Reasons:
    """Fault -> why it is to be proven again; in the order of the faults."""
    found: Reasons = {}
    faults = known.by_id
    of_site, of_faults = ([place.format(site=topology.site) for place in places] for places in (SITE, FAULTS))
    expected = {
        id: {plan.results[key].check for key in expected.verdicts} for id, expected in known.expected(plan).items()
    }
    stands_on = _modules_of_checks(root)

    def add(ids: Iterable[str], why: str) -> None:
        for id in ids:
            found.setdefault(id, why)

    def add_checks_of(files: Iterable[str], why: str) -> None:
        checks = {check for check, file in plan.files.items() if file in set(files)}
        for id, noticed in expected.items():
            if some := sorted(noticed & checks):
                add([id], f"{why}: {', '.join(some[:3])}{', …' if len(some) > 3 else ''}")

    for file in change.files:
        path = PurePosixPath(file)
        if _below(file, of_site):
            add(faults, f"{file} is of the site")
        elif _below(file, of_faults) or _below(file, OTHER_SITES):
            continue
        elif path.is_relative_to(CHECKS):
            if file in plan.files.values():
                add_checks_of([file], f"{file} has checks that must notice it")
            else:
                add(faults, f"{file} is beside all checks")
        elif path.is_relative_to(SOURCE) and path.relative_to(SOURCE).parts[0] in OF_CHECKS:
            files = [check for check, modules in stands_on.items() if modules & _modules_of(path, root)]
            if files:
                add_checks_of(files, f"checks that must notice it stand on {file}")
            else:
                add((f.id for f in sample(faults.values())), f"who stands on {file} is not seen; one of each subject")
        elif _below(file, MACHINERY):
            add((f.id for f in sample(faults.values())), f"every check stands on {file}; one of each subject")
    if any(_below(file, of_faults) for file in change.files):
        for id, why in _rewritten(known, plan, change.before, topology).items():
            add([id], why)
    return {id: found[id] for id in faults if id in found}


def _rewritten(known: Faults, plan: Plan, before: Written | None, topology: Topology) -> Reasons:
    try:
        old = None if before is None else load(topology, before)
    except LabError:
        old = None
    if old is None:
        return dict.fromkeys(known.by_id, "how it was before cannot be read")
    was, now = old.expected(plan), known.expected(plan)
    return {
        id: "it is new" if id not in old.by_id else "its table, or a step that it uses, is another"
        for id, fault in known.by_id.items()
        if fault != old.by_id.get(id) or was[id] != now[id]
    }


def _below(file: str, places: Iterable[str]) -> bool:
    return any(file == place or file.startswith(f"{place}/") for place in places)


def _modules_of(path: PurePosixPath, root: Path) -> set[str]:
    """The module of a file. A script may be of any module beside it."""
    if path.suffix == ".py":
        return {_module(path)}
    beside = (root / path).parent.glob("*.py")
    return {_module(path.parent / file.name) for file in beside if file.name != "__init__.py"}


def _module(path: PurePosixPath) -> str:
    parts = list(path.relative_to(SOURCE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules_of_checks(root: Path) -> dict[str, set[str]]:
    """File of checks -> every module of the package that it imports, directly or not."""
    sources = {_module(PurePosixPath(p.relative_to(root).as_posix())): p for p in (root / SOURCE).rglob("*.py")}
    imports = {module: _imported(path, module, sources) for module, path in sources.items()}
    found = {}
    for path in sorted((root / CHECKS).rglob("*.py")):
        reached, todo = set[str](), list(_imported(path, "", sources))
        while todo:
            module = todo.pop()
            if module not in reached:
                reached.add(module)
                todo += imports[module]
        found[path.relative_to(root).as_posix()] = reached
    return found


def _imported(path: Path, module: str, known: Mapping[str, Path]) -> set[str]:
    """The modules of `known` that a file imports, wherever in it, with the packages that they are in."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            named.add(base)
            named.update(f"{base}.{alias.name}" for alias in node.names)
    whole = {".".join(name.split(".")[:end]) for name in named for end in range(1, name.count(".") + 2)}
    return whole & known.keys()


def changed(root: Path, revision: str, site: str) -> Change:
    """What the working tree at `root` has otherwise than `revision`, or than where it left main if that is empty.

    Raises UsageError if git knows no such revision.
    """
    if not revision:
        revision = _fork(root)
    differ = _git(root, "diff", "--name-only", "--no-renames", "-z", revision, "--").split("\0")
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    files = tuple(sorted({file for file in (*differ, *new) if file}))
    return Change(files, _written_at(root, revision, site))


def _fork(root: Path) -> str:
    for main in ("main", "origin/main", "master"):
        try:
            return _git(root, "merge-base", "HEAD", main).strip()
        except UsageError:
            continue
    return "HEAD"


def _written_at(root: Path, revision: str, site: str) -> Written | None:
    def text(file: str) -> str:
        return _git(root, "show", f"{revision}:{file}")

    try:
        names = _git(root, "ls-tree", "--name-only", "-z", revision, "lab/faults/").split("\0")
        files = {PurePosixPath(name).stem: text(name) for name in names if name.endswith(".toml")}
        found = Written(
            files, text("lab/steps.toml"), text("lab/exceptions.toml"), text(f"lab/sites/{site}/steps.toml")
        )
        tomllib.loads(found.steps)
    except (UsageError, tomllib.TOMLDecodeError):
        return None
    return found if files else None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or "git said nothing").splitlines()[-1]
        raise UsageError(f"git {' '.join(arguments[:2])}: {said}")
    return done.stdout
