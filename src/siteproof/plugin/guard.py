"""What pytest prints and keeps has no secret in it, and nothing that a host said acts on a terminal.

A plugin of its own, between pytest and everything that it writes to: one writer for the terminal, one place for what a
report of a test says, one for a refusal, one for what subjects are called.
"""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TextIO

import pytest
from _pytest._code.code import TerminalRepr
from _pytest.junitxml import xml_key

from siteproof.errors import BadInput
from siteproof.facts import Case
from siteproof.report import NAMES, NOT_TEXT
from siteproof.results import Result
from siteproof.text.characters import printable
from siteproof.text.redaction import NOTHING_SECRET, Redactor, apart

REDACTOR = pytest.StashKey[Redactor]()
"""Set as soon as the secrets of the inventory are known."""


def fit(text: str, redactor: Redactor) -> str:
    """The text as it may be shown to anybody."""
    return printable(redactor.text(text))


@contextmanager
def without(known: Iterable[str]) -> Iterator[None]:
    """A refusal may quote the value that it refuses."""
    try:
        yield
    except BadInput as error:
        raise BadInput(fit(str(error), Redactor(frozenset(known)))) from None


def nameable(cases: Sequence[Case], redactor: Redactor) -> list[Case]:
    """The same subjects with names that may stand in node ids, hence in pytest's caches and its environment."""
    names = as_named((case.id for case in cases), redactor)
    return [case if names[case.id] == case.id else replace(case, id=names[case.id]) for case in cases]


def as_named(names: Iterable[str], redactor: Redactor) -> dict[str, str]:
    """What hosts and subjects are called -> how a node id calls them: no two of them alike."""
    return apart({name: redactor.text(name) for name in names})


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Around a whole session: pytest prints a refusal by itself, when nothing of ours is there any more."""
    try:
        return (yield)
    except pytest.UsageError as error:
        redactor = config.stash.get(REDACTOR, NOTHING_SECRET)
        raise pytest.UsageError(*(fit(str(said), redactor) for said in error.args)) from None
    except Exception as error:
        # After the end of the session, where a traceback with exit code 1 would be the last word.
        if (redacts := config.stash.get(REDACTOR, None)) is None:
            raise
        if (ending := config.pluginmanager.get_plugin("siteproof-ending")) is not None:
            return ending.failed_at_last(error)
        raise RuntimeError(fit(f"{type(error).__name__}: {error}", redacts)) from None  # a worker


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Once the terminal is there."""
    if (redactor := config.stash.get(REDACTOR, None)) is None:
        return
    config.pluginmanager.register(Guard(redactor), "siteproof-guard-of-reports")
    if (reporter := config.pluginmanager.get_plugin("terminalreporter")) is not None:
        _guard(reporter._tw, redactor)
    if getattr(config.option, "capture", "no") == "no":
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (_Guarded(file, redactor, "") for file in before)
        config.add_cleanup(lambda: _put_back(*before))


def _put_back(stdout: TextIO, stderr: TextIO) -> None:
    sys.stdout, sys.stderr = stdout, stderr


def _guard(writer: Any, redactor: Redactor) -> None:
    """Have a writer of pytest's paint as before, and nobody else."""
    token = f"\x00{secrets.token_hex(8)}\x00"  # in place of the escape, until it is written
    writer._file = _Guarded(writer._file, redactor, token)
    writer.markup = _painting(writer.markup, redactor, token)
    writer._highlight = _painting(writer._highlight, redactor, token)
    if (raw := getattr(writer, "write_raw", None)) is not None:
        writer.write_raw = lambda content, **given: raw(content.replace("\x1b", token), **given)
    writer.escape = token


def escape_of(writer: Any) -> str:
    """What begins a colour of ours where it is written by this writer."""
    return str(getattr(writer, "escape", "\x1b"))


def _painting(paint: Callable[..., str], redactor: Redactor, token: str) -> Callable[..., str]:
    def painted(text: str, *given: Any, **named: Any) -> str:
        start = "\r" if text.startswith("\r") else ""
        clean = _outside(token, text.removeprefix(start), lambda part: fit(part, redactor))
        return paint(start + clean, *given, **named).replace("\x1b", token)

    return painted


def _outside(token: str, text: str, change: Callable[[str], str]) -> str:
    """Change all but what was painted already."""
    if token not in text:
        return change(text)
    parts = re.split(f"({re.escape(token)}\\[[0-9;]*m)", text)
    return "".join(change(part) if index % 2 == 0 else part for index, part in enumerate(parts))


class _Guarded:
    """A file that redacts what is written to it, and spells out whatever would act there."""

    def __init__(self, file: Any, redactor: Redactor, token: str) -> None:
        self._file = file
        self._redactor = redactor
        self._token = token

    def write(self, text: str) -> int:
        # A line of pytest's progress begins anew, on its own terminal; with `-s` anybody may write.
        start = "\r" if self._token and text.startswith("\r") else ""
        said = self._redactor.text(text.removeprefix(start))
        if self._token:
            parts = said.split(self._token)
            said = "\x1b".join(map(printable, parts))
        else:
            said = printable(said)
        self._file.write(start + said)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _same(element: Any) -> Any:
    return element


class Guard:
    """Sees each report before anybody takes note of it: the terminal, a JUnit file, the process that started this."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._clean(report)
        if isinstance(result := getattr(report, "siteproof", None), Result):
            # By what they are called results are told apart; a report does so by `without_secrets`.
            spare = (*NOT_TEXT, *NAMES)
            report.siteproof = self._redactor.everywhere(result, spare=spare)  # type: ignore[attr-defined]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._clean(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Before a JUnit file is written: properties, attributes and failures of pytest itself pass no report."""
        if (xml := session.config.stash.get(xml_key, None)) is None:
            return
        xml.global_properties[:] = [(self._fit(name), self._fit(value)) for name, value in xml.global_properties]
        for reporter in xml.node_reporters_ordered:
            element = reporter.to_xml()
            for part in element.iter():
                part.text = None if part.text is None else self._fit(part.text)
                part.attrib.update({name: self._fit(value) for name, value in part.attrib.items() if name != "time"})
            reporter.to_xml = partial(_same, element)  # type: ignore[method-assign]

    def _clean(self, report: Any) -> None:
        for name in ("longrepr", "sections", "user_properties", "wasxfail"):
            if (said := getattr(report, name, None)) is None:
                continue
            try:
                setattr(report, name, self._fit(said))
            except Exception as error:  # noqa: BLE001 - a list may hold itself; what cannot be looked through is not shown
                why = f"what stood here cannot be shown: {type(error).__name__}"
                setattr(report, name, [(name, why)] if isinstance(said, list) else why)

    def _fit(self, said: Any) -> Any:
        if isinstance(said, str):
            return fit(said, self._redactor)
        if isinstance(said, list) and said and all(isinstance(line, str) for line in said):
            return fit("\n".join(said), self._redactor).split("\n")  # a secret may go over several
        if isinstance(said, list | tuple):
            return type(said)(map(self._fit, said))
        if isinstance(said, TerminalRepr):
            for name, part in vars(said).items():
                if name != "style":
                    setattr(said, name, self._fit(part))
        return said
