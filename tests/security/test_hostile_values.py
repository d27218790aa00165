"""Nothing that a host or the inventory says runs anything: every probe is asked with every value of `hostile`.

A probe refuses a value, or its script, run by real shells, starts nothing but the tools that it names, and none of
these with an option that it was not given. Whatever probe is written next is tried as well: it is found by what it
returns.

How much is tried is `damage.AMOUNT`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shlex
import typing
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Literal

import hostile
import pytest
import recorded
from damage import EVERYTHING
from recorded import Recording
from sandbox import SHELLS, Sandbox
from test_corruption_verdicts import CHECKS, HEALTHY, ROOT

from siteproof import facts, invariants, probes
from siteproof.asks import Ask, Check, Command, Output, Question, Stream
from siteproof.inventory import inventory
from siteproof.judging import rounds
from siteproof.probes.names.dns import dns_reply
from siteproof.probes.names.resolved import Asked
from siteproof.probes.names.resolver import Listing
from siteproof.runtimes.pull_route import Image, Proxies, RegistryEndpoint

PARTS = 8 if EVERYTHING else 1
"""A long test in parts, which two processes can share."""
DIGEST = f"sha256:{'0' * 64}"
CONTROL = dns_reply("host1", "www.example", at=IPv4Address("192.0.2.1"))

# What a probe is asked with where all is well, by its type, or else by the parameter's name.
GOOD: dict[str, Any] = {
    **dict.fromkeys(("host", "node", "router", "manager", "source"), "host1"),
    "name": "a.example",
    "url": "https://a.example/b",
    "image": "registry.example/a/b:1",
    "overlay": "proxy",
    "network": "proxy",
    "path": "/srv/a/b",
    "ca": "/etc/ca.pem",
    "digest": f"registry.example/a/b@{DIGEST}",
    "arguments": ("/bin/sleep", "600"),
    "targets": (IPv4Address("192.0.2.2"), IPv4Address("192.0.2.3")),
    "servers": (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")),
    "addresses": (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")),
    "ports": (22, 80),
    "zone": "home.example",
    "right": frozenset({IPv4Address("192.0.2.1")}),
}
BY_TYPE: dict[Any, Any] = {
    bool: True,
    int: 7,
    float: 7.0,
    IPv4Address: IPv4Address("192.0.2.1"),
    IPv4Address | IPv6Address: IPv4Address("192.0.2.1"),
    IPv4Address | IPv6Address | None: IPv4Address("192.0.2.1"),
    RegistryEndpoint: RegistryEndpoint("https://a.example/v2", "mirror", skip_verify=True, ca=("/etc/ca.pem",)),
    Image: Image("registry.example", "a/b", "1"),
    Asked: Asked(Listing((IPv4Address("192.0.2.1"),))),
    Proxies: Proxies("http://proxy.example:3128", "http://proxy.example:3128", "b.example"),
}
# Where a parameter of the same name means something else.
OF_PROBE: dict[tuple[str, str], Any] = {
    ("overlay_pings", "network"): "a" * 25,
    **{
        (name, "control"): "www.example"
        for name in (
            *("getent_addresses", "dns_addresses", "addresses", "current_servers"),
            *("asked_servers", "explained", "program_addresses"),
        )
    },
    **{(name, "control"): "http://www.example/" for name in ("transfer", "registry_answer", "reflection")},
    ("overlay_networks", "control"): "ingress",
    ("tcp_scan", "control"): 443,
    ("replies", "control"): CONTROL,
}

Probe = Callable[..., Any]


def every_probe() -> dict[str, Probe]:
    """Every function of the probes that makes questions, by its name."""
    found: dict[str, Probe] = {}
    for info in pkgutil.walk_packages(probes.__path__, f"{probes.__name__}."):
        module = importlib.import_module(info.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            returned = str(function.__annotations__.get("return"))
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and "Ask[" in returned and not inspect.iscoroutinefunction(function):
                found[name] = function
    return found


PROBES = every_probe()


def good_arguments(name: str) -> dict[str, Any]:
    """Fails, saying what to add, where nothing is known that an argument may be."""
    arguments: dict[str, Any] = {}
    hints = typing.get_type_hints(PROBES[name])
    for parameter in inspect.signature(PROBES[name]).parameters:
        hint = hints[parameter]
        if (name, parameter) in OF_PROBE:
            arguments[parameter] = OF_PROBE[name, parameter]
        elif hint in BY_TYPE:
            arguments[parameter] = BY_TYPE[hint]
        elif (chosen := _chosen(hint)) is not None:
            arguments[parameter] = chosen
        elif parameter in GOOD:
            arguments[parameter] = GOOD[parameter]
        else:
            pytest.fail(
                f"nobody knows what to give {name} as `{parameter}` ({hint}), so that it could not be attacked: add a "
                "value that it is asked with where all is well to GOOD, BY_TYPE or OF_PROBE in this file"
            )
    return arguments


def _chosen(hint: Any) -> Any:
    """One of a Literal, also of an optional one."""
    for kind in (hint, *typing.get_args(hint)):
        if typing.get_origin(kind) is Literal:
            return typing.get_args(kind)[-1]
    return None


def asked(name: str, arguments: Mapping[str, Any]) -> list[Question]:
    """The questions that it makes."""
    made = PROBES[name](**arguments)
    asks: Iterable[Ask[Any]] = made.values() if isinstance(made, Mapping) else [made]
    return [question for ask in asks for question in ask.questions]


def with_each_part(good: Any, bad: str) -> Iterator[Any]:
    """`good` with `bad` in each place where it holds something."""
    if isinstance(good, tuple | list):
        for place in range(len(good)):
            for part in with_each_part(good[place], bad):
                yield type(good)([*good[:place], part, *good[place + 1 :]])
    elif is_dataclass(good) and not isinstance(good, Ask | type):
        for field in fields(good):
            for part in with_each_part(getattr(good, field.name), bad):
                yield replace(good, **{field.name: part})
    elif not isinstance(good, bool | Ask | frozenset):
        yield bad
        if isinstance(good, str) and len(bad) < 4096:
            yield good + bad
            yield bad + good


@dataclass
class Attack:
    """What a probe asks although it was given something hostile."""

    commands: dict[str, Command]
    """By their scripts, each once."""
    streams: list[Stream]
    tried: int = 0
    refused: int = 0

    def take(self, questions: Iterable[Question], known: frozenset[str]) -> None:
        for question in questions:
            if isinstance(question, Command) and question.script not in known:
                self.commands.setdefault(question.script, question)
            elif isinstance(question, Stream):
                self.streams.append(question)


def attack(name: str, values: Mapping[str, str]) -> Attack:
    good = good_arguments(name)
    known = frozenset(q.script for q in asked(name, good) if isinstance(q, Command))
    found = Attack({}, [])
    for parameter, value in good.items():
        for bad in values.values():
            for given in with_each_part(value, bad):
                found.tried += 1
                try:
                    questions = asked(name, {**good, parameter: given})
                except Exception:  # noqa: BLE001 - whatever it is, nothing is asked
                    found.refused += 1
                    continue
                found.take(questions, known)
    return found


def sample(commands: Iterable[Command], most: int) -> list[Command]:
    """All of them, or a sample, the same in every run."""
    ordered = sorted(commands, key=lambda c: zlib.crc32(c.script.encode("utf-8", "surrogatepass")))
    return ordered if EVERYTHING else ordered[:most]


GOOD_SCRIPTS = frozenset(
    question.script
    for name in PROBES
    for question in asked(name, good_arguments(name))
    if isinstance(question, Command)
)
TOOLS = {
    tool
    for name in PROBES
    for question in asked(name, good_arguments(name))
    if isinstance(question, Command)
    for tool in question.tools
}
FROM_ANSWERS = re.compile(r"--net=/proc/[1-9][0-9]{0,6}/ns/net")
"""Options that scripts make of answers, after they have looked at them."""
SPELT = re.compile(r"(?<![\w-])-[^\s'\"`;|&()$]*")


def options_of_scripts(scripts: Iterable[str]) -> frozenset[str]:
    """Options as they stand in scripts that nothing hostile was put into."""
    return frozenset(option for script in scripts for option in SPELT.findall(script))


@pytest.fixture(params=SHELLS)
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, request.param, TOOLS)


def options(sandbox: Sandbox, name: str) -> frozenset[str]:
    """What the tools of a probe are given where all is well, and what its script would give them in other branches."""
    commands = [q for q in asked(name, good_arguments(name)) if isinstance(q, Command)]
    called = frozenset(option for call in sandbox.run(commands) for option in call.options)
    return called | options_of_scripts(command.script for command in commands)


@pytest.mark.parametrize("name", PROBES)
def test_no_value_runs_anything_or_becomes_an_option(name: str, sandbox: Sandbox) -> None:
    found = attack(name, hostile.values(str(sandbox.canary)))
    allowed = options(sandbox, name)
    broken = sandbox.broken_by(sample(found.commands.values(), 60), allowed)
    assert [c.script[:300] for c in broken] == []


@pytest.mark.parametrize("name", PROBES)
def test_no_value_leads_a_stream_elsewhere(name: str) -> None:
    for stream in attack(name, hostile.short()).streams:
        assert re.fullmatch(r"[A-Za-z0-9_.:-]+", stream.address), stream
        assert 0 < stream.port < 65536
        for key, value in stream.parameters:
            assert re.fullmatch(r"[!-~]*" if key != "ca" else r"/[^\0-\x1f\x7f]*", value), (key, value)


def test_the_table_of_good_values_is_used() -> None:
    """Each of them is refused nowhere; what no probe takes any more goes."""
    parameters = {(name, parameter) for name in PROBES for parameter in good_arguments(name)}
    assert {parameter for _, parameter in parameters} >= GOOD.keys()
    assert parameters >= OF_PROBE.keys()


class TestTheHarness:
    """It does see what it looks for."""

    @pytest.mark.parametrize(
        "script",
        [
            "curl https://%s/",
            "curl $value",
            "id=%s\ncurl $id",
            "sed -n 's/%s//p'",
            'eval curl "$value"',
            'sh -c "curl $value"',
            "echo $((value))",
            "$ROOT curl %s",
        ],
    )
    def test_a_script_that_trusts_a_value_is_found(self, script: str, sandbox: Sandbox) -> None:
        canary = str(sandbox.canary)
        commands = _careless(f"value=QUOTED\n{script}", hostile.commands(canary) | hostile.options(canary))
        if "((" in script and sandbox.name != "bash":
            pytest.skip("only bash evaluates what a variable holds")
        assert sandbox.is_broken(commands, frozenset())

    def test_a_script_that_quotes_is_not(self, sandbox: Sandbox) -> None:
        commands = _careless('value=QUOTED\ncurl -- "$value"', hostile.short(str(sandbox.canary)))
        assert not sandbox.is_broken(commands, frozenset())


def _careless(script: str, values: Mapping[str, str]) -> list[Command]:
    spelt = [v for v in values.values() if not re.search("[\0\ud800-\udfff]", v)]
    texts = [script.replace("QUOTED", shlex.quote(value)).replace("%s", value) for value in spelt]
    return [Command("host1", "careless", 5, "reads", text) for text in texts]


# What tools say within one script, before anybody has read it.


@pytest.mark.parametrize("part", range(PARTS))
def test_no_answer_of_a_tool_runs_anything_in_its_own_script(part: int, sandbox: Sandbox) -> None:
    commands = {q.script: q for name in PROBES for q in asked(name, good_arguments(name)) if isinstance(q, Command)}
    allowed = options_of_scripts(GOOD_SCRIPTS)
    values = hostile.short(str(sandbox.canary))
    broken: dict[str, list[str]] = {}
    for number, (what, said) in enumerate(values.items()):
        chosen = EVERYTHING or what in hostile.commands("") and number % 3 == 0 or number % 20 == 0
        if not chosen or number % PARTS != part:
            continue
        # By itself; and behind something that looks like an answer.
        line = ("", "a" * 64, "12")[number // PARTS % 3 if EVERYTHING else 0] + said
        spelt = hostile.encoded(line) + b"\n"
        found = sandbox.broken_by(list(commands.values()), allowed, said=spelt, looked_at=FROM_ANSWERS)
        broken |= {what: [c.probe for c in found]} if found else {}
    assert broken == {}


# What one host answered becomes a question to another, or to the same one in a later round.

TOKEN = re.compile(
    r'"(?P<json>(?:[^"\\\n]|\\.)+)"(?!\s*:)'  # a text in JSON, not a key
    r"|(?<![\w\"'])(?P<word>[^\s\"'{}\[\],=|]{2,})"
)
TRIED = 60 if EVERYTHING else 20
"""Values put into an answer; every one in every place of every recording would take days."""
ASKING = 4
"""Checks that are tried on each: those that ask one question ask much the same behind it."""

LEADING = {
    "swarm_state": r'"Name":"proxy","Id":"(\w{25})"',
    "registry_answer": r'realm="https?://([\w.]+)',
    "docker_registries": r'"Mirrors":\["https?://([\w.]+)',
    "containerd_registries": r'\| \[host\."https?://([\w.]+)',
    "images": r'"repoDigests":\["([^"]+)',
    "resolver_servers": r"nameserver (\S+)",
}
"""What of an answer is asked about next: with each value, wherever it stands, by itself and behind what was there."""


def leading_answers(recording: Recording, canary: str) -> Iterator[Output]:
    text = recording.output.stdout.decode("utf-8", "surrogateescape")
    if (found := re.search(LEADING.get(recording.probe, "(?!)"), text)) is None:
        return
    values = list(hostile.short(canary).values())
    for value in values if EVERYTHING else values[zlib.crc32(recording.name.encode()) % 4 :: 4]:
        for spelt in (value, f"{found[1]}{value}"):
            quoted = _in_json(spelt) if "{" in text else spelt
            yield replace(recording.output, stdout=hostile.encoded(text.replace(found[1], quoted)))


def hostile_answers(recording: Recording, canary: str) -> Iterator[Output]:
    """The recording with one of its words replaced, by every value or by a sample of these."""
    text = recording.output.stdout.decode("utf-8", "surrogateescape")
    tokens = [m for m in TOKEN.finditer(text) if not m[0].startswith(("== ", "siteproof"))]
    # A word stands in many places; once in each text is enough.
    places = {m[0]: m for m in tokens}
    values = list(hostile.short(canary).items())
    pairs = [(place, value) for place in places.values() for value in values]
    step = max(1, len(pairs) // TRIED)
    start = zlib.crc32(recording.name.encode()) % step
    for place, (_, value) in pairs[start::step]:
        group = "json" if place["json"] is not None else "word"
        spelt = _in_json(value) if group == "json" else value
        changed = text[: place.start(group)] + spelt + text[place.end(group) :]
        yield replace(recording.output, stdout=hostile.encoded(changed))


def _in_json(value: str) -> str:
    table = {ord('"'): '\\"', ord("\\"): "\\\\"} | {c: f"\\u{c:04x}" for c in range(32)}
    return value.translate(table)


def _way(question: Question) -> str:
    """What is asked, of whichever host."""
    if isinstance(question, Command):
        return question.script
    return f"{question.address} {question.parameters}" if isinstance(question, Stream) else question.key


BY_WAY: dict[str, Output] = {}
for _recording in recorded.every():
    if _recording.error is None:
        BY_WAY.setdefault(_way(_recording.single.question), _recording.output)


@dataclass(frozen=True)
class Answers:
    """Recorded answers, also those that another host gave, and one in place of its own."""

    key: str = ""
    output: Output | None = None

    def get(self, question: Question) -> Output | None:
        if question.key == self.key:
            return self.output
        return HEALTHY.get(question.key) or BY_WAY.get(_way(question))


Make = Callable[[], Check]


def every_check() -> list[Make]:
    """Each check on each of its subjects in the lab."""
    read = inventory.load(ROOT / "inventories/lab", limit=None, rootpath=ROOT)
    site = facts.read_site(read)
    found: list[Make] = []
    for file in sorted(CHECKS.glob("test_*.py")):
        module = importlib.import_module(f"tests_infra.{file.stem}")
        for _, check in inspect.getmembers(module, inspect.iscoroutinefunction):
            if (declared := invariants.of(check)) is None or check.__module__ != module.__name__:
                continue
            kinds = {name: kind for name, kind in typing.get_type_hints(check).items() if name != "return"}
            for case in site.cases(declared.family, kinds):
                if not case.absent:
                    found.append(partial(check, **case.arguments))
    return found


def comes_to(make: Make, evidence: Answers) -> dict[str, Question]:
    """Everything that a check asks on this evidence, also what nobody has answered yet."""
    trace = rounds.Trace()
    with suppress(Exception):  # it got to its end, whatever the verdict
        rounds.drive(make(), evidence, trace, to_the_end=False)
    return trace.asked


def after_hostile_answers() -> Attack:
    """What checks come to ask; the canary is hostile.NOWHERE."""
    checks = [(make, comes_to(make, Answers())) for make in every_check()]
    known = frozenset(q.script for _, asked in checks for q in asked.values() if isinstance(q, Command))
    found = Attack({}, [])
    for recording in recorded.every():
        key = recording.single.question.key
        asking = [make for make, asked in checks if key in asked]
        if recording.error is not None or not asking:
            continue
        for output in [*leading_answers(recording, hostile.NOWHERE), *hostile_answers(recording, hostile.NOWHERE)]:
            for make in asking[-ASKING:]:
                found.tried += 1
                found.take(comes_to(make, Answers(key, output)).values(), known)
    return found


def test_no_answer_of_a_host_runs_anything_on_another(tmp_path: Path) -> None:
    found = after_hostile_answers()  # once for all shells: it takes longer than they do
    assert found.tried > 500
    for shell in SHELLS:
        (tmp_path / shell).mkdir()
        sandbox = Sandbox(tmp_path / shell, shell, TOOLS)
        commands = [
            replace(command, script=command.script.replace(hostile.NOWHERE, str(sandbox.canary)))
            for command in sample(found.commands.values(), 300)
        ]
        assert [c.script[:300] for c in sandbox.broken_by(commands, options_of_scripts(GOOD_SCRIPTS))] == [], shell
    for stream in found.streams:
        assert all(re.fullmatch(r"[!-~]*", value) for _, value in stream.parameters), stream
