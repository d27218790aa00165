"""A script is constant text: what is not goes in as a word. Read from the source of every probe and check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBES = ROOT / "src/siteproof/probes"
SOURCES = [*sorted(PROBES.rglob("*.py")), *sorted((ROOT / "tests_infra").glob("*.py"))]

# Where a script, or a question, is made otherwise, and why that is harmless.
ALLOWED: dict[tuple[str, str], str] = {
    ("dns.py", "Stream"): "no script; its parameters are words' texts",
    ("http.py", "Stream"): "no script; its parameters are words' texts",
    ("versions.py", "split"): "which tools are asked differs from host to host; others are not read",
}


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            yield (function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")), node


def constants(tree: ast.Module) -> set[str]:
    """Names that are assigned at import, in the module itself, and nowhere else."""
    at_import = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name)
    }
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    again = {
        name
        for function in functions
        for node in ast.walk(function)
        for name in (
            [node.id]
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            else node.names
            if isinstance(node, ast.Global)
            else [node.arg]
            if isinstance(node, ast.arg)
            else []
        )
    }
    return at_import - again


def complaints(source: str, name: str) -> list[str]:
    """What of a module is not as it has to be."""
    tree, found = ast.parse(source), []
    fixed = constants(tree)
    for function, call in called(tree):
        where = f"{name}:{call.lineno}"
        if function in ("Word", "Command", "Stream") and (name, function) not in ALLOWED:
            found.append(f"{where}: a {function} is made by asks.words or asks.command alone")
        if function == "command":
            script = (
                call.args[1]
                if len(call.args) > 1
                else next((k.value for k in call.keywords if k.arg == "script"), None)
            )
            table = script.value if isinstance(script, ast.Subscript) else script
            if not isinstance(table, ast.Name) or table.id not in fixed:
                found.append(f"{where}: the script is a constant of the module, or one of a table of such")
        unnamed = function == "split" and isinstance(call.func, ast.Name) and len(call.args) < 2
        if unnamed and (name, function) not in ALLOWED:
            found.append(f"{where}: split() is told which sections the script prints")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_scripts_are_constant(path: Path) -> None:
    assert complaints(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "careless",
    [
        'def f(host, name):\n    return command(host, f"getent {name}", probe="")',
        'def f(host, name):\n    return command(host, "getent {}".format(name), probe="")',
        'def f(host, name):\n    return command(host, shlex.join(["getent", name]), probe="")',
        'def f(host, name):\n    script = "getent " + name\n    return command(host, script, probe="")',
        'SCRIPT = "a"\ndef f(host, name):\n    global SCRIPT\n    SCRIPT += name\n    return command(host, SCRIPT)',
        'SCRIPT = "a"\ndef f(host, SCRIPT):\n    return command(host, SCRIPT, probe="")',
        'SCRIPT = "a"\ndef f(host, name):\n    return command(host, SCRIPT + name, probe="")',
        'SCRIPT = "a"\ndef f(host, name):\n    return command(host=host, script=SCRIPT % name, probe="")',
        'def f(host, name):\n    return Command(host, "", 1, "reads", name)',
        'def f(host, name):\n    return command(host, "getent", given={"name": Word(name)})',
        "def f(text):\n    return split(text)",
    ],
)
def test_a_careless_probe_is_found(careless: str) -> None:
    assert complaints(careless, "careless.py")


def test_a_careful_probe_is_not() -> None:
    careful = (
        'SCRIPTS = {"a": "getent \\"$name\\""}\n'
        'def f(host, name):\n    return command(host, SCRIPTS["a"], probe="", given={"name": HOST_NAME(name)})\n'
        'def g(text):\n    return split(text, "found", "status")'
    )
    assert complaints(careful, "careful.py") == []
