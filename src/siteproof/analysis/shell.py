"""What a shell script executes, in order: not what a comment, a string, a here-document or a dead branch mentions.

tree-sitter reads the script; nothing is run. A branch counts unless its condition is a constant that keeps it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from siteproof.errors import Unparseable

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MOST_BYTES = 1 << 20
MOST_COMMANDS = 20_000
DEEPEST = 40
"""Functions that call each other, and constructs in each other."""

_SAYS = frozenset({"echo", "printf", ":", "true", "false", "logger", "wall", "cat", "tee", "trap", "alias"})
"""What only shows its words, or keeps them for later."""
_RUNS_TEXT = frozenset({"eval", "ssh", "sh", "bash", "dash", "trap", "xargs", "watch", "su", "at", "source", "."})
"""What may run words, or a file, that are not seen here."""
_RUNS_ITS_WORDS = re.compile(r"(?:[;&|{(\n!]|\b(?:do|then|else|sudo|time|exec))\s*\"?\$(?:[@*1]|\{[@*1])")
_PERHAPS = frozenset({"case_item", "c_style_for_statement", "else_clause"})
_APART = frozenset({"subshell", "pipeline", "command_substitution", "process_substitution"})
"""What a shell of its own executes."""
_SHELL = re.compile(r"#!.*\b(?:ba|da|k|mk|z|a)?sh\b")


@dataclass(frozen=True)
class Command:
    """A command that is executed, maybe on a condition."""

    line: int
    text: str
    """Its words with one blank between them, without the quotes around them."""
    name: str
    """Its first word; empty where the script computes it."""

    def does(self, step: str) -> bool:
        """Whether it has `step` in it, and does more than to show it."""
        step = " ".join(step.split())
        return step in self.text and (self.name not in _SAYS or step.startswith(self.name))

    @property
    def reads_file(self) -> bool:
        """It runs what stands in another file."""
        return self.name in (".", "source")

    @property
    def runs_text(self) -> bool:
        """It may run words of the script that are not seen to be commands."""
        return not self.name or self.name in _RUNS_TEXT


def executed(lines: Sequence[str]) -> list[Command]:
    """The commands of a script in the order in which they are executed.

    Raises Unparseable for what is not a shell script, or not one that tree-sitter understands.
    """
    if lines and lines[0].startswith("#!") and not _SHELL.match(lines[0]):
        raise Unparseable(f"not a shell script, so that nobody knows what it executes: {lines[0][:80]!r}")
    source = "\n".join(lines).encode() + b"\n"
    if len(source) > MOST_BYTES:
        raise Unparseable(f"a script of {len(source)} bytes is not read")
    root = _parser().parse(source).root_node
    if root.has_error:
        place = next(_errors(root), root).start_point[0] + 1
        raise Unparseable(f"line {place} is not understood as shell: {lines[place - 1 : place]}"[:300])
    walk = _Walk()
    with suppress(_Ended):
        walk.statements(root.children)
    return walk.found


@cache
def _parser() -> Parser:
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def _errors(node: Node) -> Iterator[Node]:
    if node.type == "ERROR" or node.is_missing:
        yield node
    for child in node.children:
        yield from _errors(child) if child.has_error else ()


class _Ended(Exception):
    """The script, or the function, is surely over here."""

    def __init__(self, of: str) -> None:
        super().__init__(of)
        self.of = of


class _Walk:
    def __init__(self) -> None:
        self.found: list[Command] = []
        self._functions: dict[str, Node] = {}
        self._depth = 0

    def statements(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._statement(node)

    def _statement(self, node: Node) -> None:
        self._depth += 1
        if self._depth > DEEPEST * 4 or len(self.found) > MOST_COMMANDS:
            raise Unparseable("the script calls itself, or is too deep to be followed")
        try:
            self._dispatch(node)
        finally:
            self._depth -= 1

    def _dispatch(self, node: Node) -> None:
        kind = node.type
        if kind == "command":
            self._command(node)
        elif kind == "function_definition":
            if (name := node.child_by_field_name("name")) is not None and (body := node.child_by_field_name("body")):
                self._functions[_plain(name)] = body
        elif kind == "list":
            self._list(node)
        elif kind in ("if_statement", "elif_clause"):
            self._if(node)
        elif kind == "while_statement":
            self._while(node)
        elif kind == "for_statement":
            items = [c for c in node.children if c.is_named and c.type not in ("variable_name", "do_group")]
            if items or not any(c.type == "in" for c in node.children):
                self._perhaps(node.children)
        elif kind in _PERHAPS or kind in _APART:
            self._perhaps(node.children)
        elif kind not in ("comment", "heredoc_content", "raw_string", "string_content"):
            self.statements(node.children)

    def _command(self, node: Node) -> None:
        inner = [child for child in node.children if child.type != "command_name"]
        self.statements(inner)  # what is substituted into its words is executed before
        name_node = node.child_by_field_name("name")
        name = _plain(name_node) if name_node is not None else ""
        if name_node is not None:
            self.statements(name_node.children)
        words = [_plain(child) for child in node.children if child.type not in ("variable_assignment", "file_redirect")]
        computed = name_node is not None and "$" in name
        body = self._functions.get(name)
        if body is not None and not _RUNS_ITS_WORDS.search(_plain(body)):
            words = [name]  # what a function does with its words is not what they say
        text = " ".join(" ".join(words).split())
        self.found.append(Command(node.start_point[0] + 1, text, "" if computed else name))
        if name in ("exit", "return"):
            raise _Ended(name)
        if name == "exec" and len(words) > 1:
            raise _Ended("exit")
        if body is not None:
            try:
                self._statement(body)
            except _Ended as ended:
                if ended.of == "exit":
                    raise

    def _list(self, node: Node) -> None:
        first, *rest = [child for child in node.children if child.is_named]
        operator = next((c.type for c in node.children if c.type in ("&&", "||")), ";")
        self._statement(first)
        known = _constant(first)
        if known is None:
            self._perhaps(rest)
        elif known is (operator == "&&"):
            self.statements(rest)

    def _if(self, node: Node) -> None:
        place = next((i for i, child in enumerate(node.children) if child.type == "then"), len(node.children))
        condition, after = node.children[:place], node.children[place:]
        self.statements(condition)
        others = [child for child in after if child.type in ("elif_clause", "else_clause")]
        known = _constant(*[child for child in condition if child.is_named])
        if known is not False:
            self._perhaps([child for child in after if child not in others])
        if known is not True:
            self._perhaps(others)

    def _while(self, node: Node) -> None:
        condition = [c for c in node.children if c.is_named and c.type != "do_group"]
        self.statements(condition)
        until = any(child.type == "until" for child in node.children)
        if _constant(*condition) is not until or _constant(*condition) is None:
            self._perhaps([child for child in node.children if child.type == "do_group"])

    def _perhaps(self, nodes: Iterable[Node]) -> None:
        """What may be executed, or is in a shell of its own: where it ends, its rest is dead, the script goes on."""
        with suppress(_Ended):
            self.statements(nodes)


def _constant(*condition: Node) -> bool | None:
    """What a condition always is; None where that hangs on something."""
    if len(condition) != 1:
        return None
    (node,) = condition
    if node.type == "negated_command":
        inner = _constant(*[child for child in node.children if child.is_named])
        return None if inner is None else not inner
    if node.type == "command":
        return {"true": True, ":": True, "false": False}.get(_plain(node)) or _tested(_plain(node).split())
    if node.type in ("test_command", "compound_statement"):
        text = _plain(node)
        if match := re.fullmatch(r"\(\(\s*(\d+)\s*\)\)", text):
            return int(match[1]) != 0
        return _tested(text.strip("[] ").split())
    return None


def _tested(words: list[str]) -> bool | None:
    """`1 = 2` and the like, with or without `test` before it."""
    words = words[1:] if words[:1] == ["test"] else words
    if words == ["false"]:
        return False
    if len(words) != 3 or any(re.search(r"[$`*?(]", word) for word in words):
        return None
    left, operator, right = (word.strip("'\"") for word in words)
    if operator in ("=", "==", "-eq"):
        return left == right
    return left != right if operator in ("!=", "-ne") else None


def _plain(node: Node) -> str:
    """Its text, without the quotes around it or continued lines."""
    text = (node.text or b"").decode("utf-8", "replace").replace("\\\n", " ")
    quoted = node.type in ("string", "raw_string") and len(text) >= 2
    return text[1:-1] if quoted else text
