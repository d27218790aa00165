"""The lab's command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab import affected, breaking, faults, following, lifecycle, paths, state, topology
from lab.errors import LabError, UsageError, nearest
from lab.paths import PROJECT


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message} ({self.format_usage().strip()})")


def main(arguments: Sequence[str]) -> int:
    try:
        own, of_pytest = _split(arguments) if arguments[:1] == ["run"] else (arguments, [])
        options = _parser().parse_args(own)
        if options.command is run:
            options.argv = of_pytest
        topology.known(options.site)
        options.name = paths.lab_name(options.name, options.site)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who reads has enough, as head does; what is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of `run`: what is the lab's, and what is pytest's, which is all else, also without `--` between them."""
    own, of_pytest, left = list(arguments[:1]), list[str](), list(arguments[1:])
    while left and left[0] != "--":
        word = left.pop(0)
        if word.partition("=")[0] in ("--site", "--name"):
            own += [word, *([left.pop(0)] if "=" not in word and left else [])]
        elif word in ("-h", "--help"):
            own.append(word)
        else:
            of_pytest.append(word)
    return own, [*of_pytest, *left[1:]]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m lab", description="A site of Linux hosts in namespaces, to test and to break.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def add(word: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(word, help=text, description=text)
        sub.add_argument("--name", help="which lab (default: $SITEPROOF_LAB, else the site)")
        sub.add_argument(
            "--site",
            default=topology.FIRST,
            help="which site: one of lab/sites/ (default: %(default)s)",
            metavar="SITE",
        )
        sub.set_defaults(command=command)
        return sub

    add("build", build, "make the base roots, programs, certificates and registry content that a site stands on")
    add("up", up, "bring the lab up (builds first if needed); returns when its data path works")
    add("down", down, "remove the lab")
    add("status", status, "say what runs and what is broken; exit 3 if the lab is not up").add_argument(
        "--json", action="store_true"
    )
    entry = add("exec", execute, "run a command on a host")
    entry.add_argument("host")
    entry.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD…")
    add("restart", restart, "switch a host off and on again").add_argument("host")
    lister = add("faults", list_faults, "list the faults, what they do and what must notice")
    lister.add_argument("--json", action="store_true", help="as JSON: what each does to which results, by which edges")
    lister.add_argument(
        "--register", metavar="FILE", help="the checks, as `pytest --register=FILE.json` writes them; - is stdin"
    )
    add("heal", heal, "heal faults, all that are broken if none is named").add_argument("fault", nargs="*")
    breaker = add("break", break_, "break the lab by faults")
    breaker.add_argument("fault", nargs="+")
    breaker.add_argument(
        "--report",
        type=Path,
        default=PROJECT / "reports/latest/report.json",
        help="a healthy run's report.json, for the faults that break tools (default: %(default)s)",
    )
    job = add("run", run, "bring the lab up, run the suite on it, and leave the lab as it was found")
    job.add_argument("argv", nargs="*", metavar="PYTEST…", help="what is not the lab's goes to pytest")
    proof = add("prove", prove, "show that every fault is noticed by what should, and by nothing else")
    proof.add_argument("--changes", action="store_true", help="with the checks that change something on a host")
    proof.add_argument("--labs", type=int, default=1, help="prove on so many labs side by side (default: %(default)s)")
    proof.add_argument("--alone", action="store_true", help="each fault in a run of its own, never several together")
    proof.add_argument("--sample", action="store_true", help="only one fault of each subject, the quickest")
    proof.add_argument(
        "--affected",
        nargs="?",
        const="",
        metavar="REV",
        help="only what a change since REV can have touched, and why (default: since the branch left main)",
    )
    proof.add_argument("fault", nargs="*")
    proof.add_argument("--json", type=Path, metavar="FILE", help="write what was expected and what was got")
    lies = add("replays", replays, "show that no tool's answers of yesterday are believed while a fault stands")
    lies.add_argument("fault", nargs="*", help="of those in replays.toml; all if none is named")
    lies.add_argument("--json", type=Path, metavar="FILE", help="write what was believed")
    entry = add("with-tools", with_tools, "run a command of this machine with the base's tools that the machine lacks")
    entry.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD…")
    demo = add(
        "swarm-leak-demo", swarm_leak_demo, "show that removals lose an overlay's addresses, before and after a /16"
    )
    demo.add_argument("--cycles", type=int, default=3, help="of stacks deployed and removed at once (default: 3)")
    return parser


def _say(started: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    return say


def build(options: argparse.Namespace) -> int:
    from lab.build import BuildError
    from lab.build import build as make

    try:
        parts = make(topology.load(options.site).wanted, _say(time.monotonic()))
    except BuildError as error:
        raise LabError(str(error)) from error
    print(f"built: {', '.join(map(str, (*parts.bases.values(), parts.assets, *parts.bin.values())))}")
    return 0


def with_tools(options: argparse.Namespace) -> int:
    from lab import tools

    command = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not command:
        raise UsageError("with-tools -- CMD…: there is no command")
    return tools.run(command, _say(time.monotonic()))


def up(options: argparse.Namespace) -> int:
    started = time.monotonic()
    before = state.running(options.name)
    current = lifecycle.up(options.name, _say(started), options.site)
    broken = f"; broken: {', '.join(current.broken)}" if current.broken else ""
    if before and before.nonce == current.nonce:
        print(f"lab {options.name} is already up{broken}")
        if current.described != topology.fingerprint(current.site):
            print("its topology was another: down and up for the current one")
    else:
        print(f"lab {options.name} is up: {len(current.hosts)} hosts in {time.monotonic() - started:.1f} s")
    return 0


def down(options: argparse.Namespace) -> int:
    started = time.monotonic()
    existed = lifecycle.down(options.name)
    seconds = f" in {time.monotonic() - started:.1f} s"
    print(f"lab {options.name} is down{seconds}" if existed else f"lab {options.name} was not up")
    return 0


def status(options: argparse.Namespace) -> int:
    current = state.read(options.name)
    running = state.running(options.name) is not None
    if current is None:
        phase = "down"
    elif not current.alive:
        phase = "dead"
    else:
        phase = current.phase
    hosts = {name: process.alive for name, process in current.hosts.items()} if current else {}
    broken = list(current.broken) if current and running else []
    if options.json:
        run = str(paths.run_dir(options.name))
        report = {"name": options.name, "phase": phase, "up": running, "hosts": hosts, "broken": broken, "run": run}
        print(json.dumps(report, indent=1))
    else:
        print(f"lab {options.name}: {'up' if running else phase}")
        for name, alive in hosts.items() if running else ():
            print(f"  {name:10} {'runs' if alive else 'is gone'}")
        if broken:
            print(f"  broken: {', '.join(broken)}")
        if phase == "dead":
            print("  its holder died: down removes what is left")
    return 0 if running else 3


def execute(options: argparse.Namespace) -> int:
    from lab.enter import argv

    current = lifecycle.must_run(options.name)
    known = topology.load(current.site).hosts
    if options.host not in known:
        raise UsageError(f"no host {options.host}{nearest(options.host, list(known))}")
    command = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not command:
        raise UsageError("exec HOST -- CMD…: there is no command")
    process = current.hosts.get(options.host)
    if process is None or not process.alive:
        raise LabError(f"{options.host} is not running: python -m lab restart {options.host}")
    sys.stdout.flush()
    line = argv(current, options.host, command, os.environ.get("TERM", "dumb"))
    os.execvp(line[0], line)


def restart(options: argparse.Namespace) -> int:
    started = time.monotonic()
    lifecycle.restart(options.name, options.host, _say(started))
    print(f"{options.host} runs again after {time.monotonic() - started:.1f} s")
    return 0


def list_faults(options: argparse.Namespace) -> int:
    """Without the checks nobody knows what follows from what: then only what the faults themselves say is listed."""
    known = faults.load(topology.load(options.site))
    plan = following.read_register(options.register) if options.register else None
    expected = known.expected(plan) if plan else {}
    if idle := [f"{id}: {said}" for id, found in expected.items() for said in found.idle]:
        raise LabError("; ".join(idle))
    if options.json:
        if plan is None:
            raise UsageError("faults --json: what follows from what stands in the register: --register FILE")
        found = [
            {"id": id, "does": known.by_id[id].does, "expected": e.verdicts, "edges": sorted(e.edges)}
            for id, e in expected.items()
        ]
        print(json.dumps({"site": options.site, "faults": found, "absent": dict(known.absent)}, indent=1))
        return 0
    for fault in known.by_id.values():
        print(f"{fault.id}\n  {fault.does}")
        for pattern, verdict in (expected[fault.id].verdicts if plan else fault.roots).items():
            print(f"  {verdict}: {pattern}")
    for id, why in known.absent.items():
        print(f"{id}\n  not on this site: {why}")
    return 0


def break_(options: argparse.Namespace) -> int:
    site = topology.load(lifecycle.must_run(options.name).site)
    chosen = faults.load(site).choose(options.fault)
    current = breaking.break_faults(options.name, chosen, site, options.report)
    print(f"broken: {', '.join(current.broken)}")
    return 0


def heal(options: argparse.Namespace) -> int:
    site = topology.load(lifecycle.must_run(options.name).site)
    known = faults.load(site)
    names = options.fault or lifecycle.must_run(options.name).broken
    current = breaking.heal_faults(options.name, known.choose(names), site)
    print(f"still broken: {', '.join(current.broken)}" if current.broken else "nothing is broken")
    return 0


def run(options: argparse.Namespace) -> int:
    from lab import suite

    before = state.running(options.name)
    lifecycle.up(options.name, _say(time.monotonic()), options.site)
    try:
        return suite.run(options.name, options.site, options.argv)
    finally:
        if before is None:
            lifecycle.down(options.name)


def prove(options: argparse.Namespace) -> int:
    from lab.prove import How, prove_all

    site = topology.load(options.site)
    known = faults.load(site)
    if [bool(options.fault), options.sample, options.affected is not None].count(True) > 1:
        raise UsageError("prove: faults by name, --sample or --affected: one of them")
    if options.affected is not None:
        names = list(_affected(known, site, options.affected))
        if not names:
            print("no fault can have been touched")
            return 0
    elif options.sample:
        names = [fault.id for fault in affected.sample(known.by_id.values())]
    else:
        names = options.fault or list(known.by_id)
    how = How(changes=options.changes, alone=options.alone, labs=options.labs)
    return prove_all(options.name, site, known, known.choose(names), how, options.json)


def replays(options: argparse.Namespace) -> int:
    from lab.replays import replay_all

    site = topology.load(options.site)
    return replay_all(options.name, site, faults.load(site), options.fault, options.json)


def _affected(known: faults.Faults, site: topology.Topology, revision: str) -> affected.Reasons:
    from lab import suite

    change = affected.changed(PROJECT, revision, site.site)
    with tempfile.TemporaryDirectory(prefix="siteproof-affected-") as directory:
        found = affected.affected(known, suite.register(site.site, Path(directory)), change, site, PROJECT)
    for name, why in found.items():
        print(f"{name:36} {why}", flush=True)
    print(f"{len(found)} of {len(known.by_id)} faults, for {len(change.files)} changed files", flush=True)
    return found


def swarm_leak_demo(options: argparse.Namespace) -> int:
    from lab.swarm_leak_demo import demonstrate

    return demonstrate(options.name, options.cycles)
