"""What tools really printed: tests/recordings/<tool>/<tool>-<version>-<situation>.txt, and a sidecar .toml beside it.

The .txt is stdout as it came; one that is not text is written as hex digits, and the sidecar says `encoding = "hex"`.
The sidecar has

    ask       what was asked, as a check would: `getent_addresses("cp1", "a.example", control="b.example")`;
              where an ask has a control, the recording answers the question itself
    status    the exit status
    stderr    what was printed there
    expected  the answer, as Python spells it; or
    error     the name of the ProbeError that stands in its place

and, where it helps, comments. `tests/record.py` writes both files.
"""

from __future__ import annotations

import dataclasses
import importlib
import ipaddress
import json
import pkgutil
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from siteproof import analysis, probes, runtimes
from siteproof.asks import Ask, Controlled, Derived, Heard, Output, Single, Witnessed
from siteproof.errors import ProbeError

DIRECTORY = Path(__file__).parents[1] / "recordings"


def _names() -> dict[str, Any]:
    names: dict[str, Any] = {
        n: getattr(ipaddress, n) for n in ("IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network")
    }
    found = [
        sorted(m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if not m.ispkg)
        for package in (runtimes, analysis, probes)
    ]
    for name in (name for names in found for name in sorted(names, key=lambda name: name.rpartition(".")[2])):
        module = importlib.import_module(name)
        names[module.__name__.rpartition(".")[2]] = module  # where two have a class of the same name
        names |= {n: v for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__}
    return names


NAMES = _names()
"""What `ask` and `expected` are spelt with: the probes, their answers, the models these are of, addresses."""


@dataclass(frozen=True)
class Recording:
    """One answer of a tool, and what it says."""

    path: Path
    ask: str
    output: Output
    expected: str | None
    error: str | None

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def tool(self) -> str:
        return self.path.parent.name

    @property
    def probe(self) -> str:
        """The name of what was asked."""
        return self.ask.partition("(")[0]

    @property
    def single(self) -> Single[Any]:
        """The question that was answered, with its statuses and its parser."""
        return single(self.ask)

    def read(self, output: Output | None = None) -> Any:
        """What the probe makes of the output, or of another one in its place. Raises ProbeError."""
        return self.single.read(lambda question: output or self.output)

    @property
    def answer(self) -> Any:
        """The expected answer. Only where there is one."""
        return eval(self.expected or "", dict(NAMES))


def single(ask: str) -> Single[Any]:
    return _single(eval(ask, dict(NAMES)))


def _single(ask: Ask[Any]) -> Single[Any]:
    match ask:
        case Single():
            return ask
        case Controlled() | Heard() | Witnessed():
            return _single(ask.ask)
        case Derived():
            inner = _single(ask.ask)
            return replace(inner, parse=lambda output: ask.derive(inner.parse(output)))
    raise TypeError(f"{ask} is not one question")


def load(path: Path) -> Recording:
    told = tomllib.loads(path.read_text())
    stdout = path.with_suffix(".txt").read_bytes()
    if told.pop("encoding", "text") == "hex":
        stdout = bytes.fromhex(stdout.decode("ascii"))
    output = Output(told.pop("status"), stdout, told.pop("stderr", "").encode("utf-8", "surrogateescape"), 0.0, 0.0)
    return Recording(path, told.pop("ask"), output, told.pop("expected", None), told.pop("error", None))


def every() -> list[Recording]:
    return [load(path) for path in sorted(DIRECTORY.glob("*/*.toml"))]


def write(name: str, ask: str, output: Output) -> Recording:
    """Both files of a recording; what the probe makes of it today is written down as expected."""
    path = DIRECTORY / name.partition("-")[0] / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"ask = {_toml(ask)}", f"status = {output.status}"]
    if output.stderr:
        lines.append(f"stderr = {_toml(output.errors)}")
    try:
        output.stdout.decode("utf-8")
        path.with_suffix(".txt").write_bytes(output.stdout)
    except UnicodeDecodeError:
        lines.append('encoding = "hex"')
        path.with_suffix(".txt").write_text(output.stdout.hex() + "\n")
    try:
        lines.append(f"expected = {_toml(spelt(single(ask).read(lambda question: output)))}")
    except ProbeError as error:
        lines.append(f"error = {_toml(error.kind)}  # {error.message.splitlines()[0][:200]}")
    path.write_text("\n".join(lines) + "\n")
    return load(path)


def _toml(text: str) -> str:
    return f"'{text}'" if text.isprintable() and "'" not in text else json.dumps(text)


def spelt(answer: Any) -> str:
    """`repr` with sets and mappings in order."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        fields = ", ".join(f"{f.name}={spelt(getattr(answer, f.name))}" for f in dataclasses.fields(answer) if f.repr)
        return f"{type(answer).__name__}({fields})"
    if isinstance(answer, Enum):
        return f"{type(answer).__name__}.{answer.name}"
    if isinstance(answer, Mapping):
        return "{" + ", ".join(f"{spelt(k)}: {spelt(v)}" for k, v in answer.items()) + "}"
    if isinstance(answer, Set):
        return f"frozenset({{{', '.join(sorted(map(spelt, answer)))}}})" if answer else "frozenset()"
    if isinstance(answer, tuple):
        return f"({', '.join(map(spelt, answer))}{',' if len(answer) == 1 else ''})"
    return repr(answer)


def leaves(value: Any) -> Iterator[str]:
    """Every plain value in an answer, as text: what of a tool's output is the answer itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in (field for field in dataclasses.fields(value) if field.repr):
            yield from leaves(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(key)
            yield from leaves(item)
    elif isinstance(value, Set | tuple | list):
        for item in value:
            yield from leaves(item)
    else:
        yield str(value)
