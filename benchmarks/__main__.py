"""`python -m benchmarks`: how fast the suite is beside plain testinfra. Takes root, and about a quarter of an hour."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from benchmarks import compare, designs, fleet, latency, namespace, results, scale
from benchmarks.designs import Setting

QUICK = (designs.SSH_SHARED,)
QUICK_HOSTS = 2
TARGETS = {"vs_default": "at least 20", "vs_best_testinfra": "at least 4", "vs_floor": "at most 5"}
PARTS = ("compare", "scale", "latency")


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    if not options.inside:
        return namespace.run_inside(arguments)
    namespace.settle()
    try:
        result = _measure(options)
    except RuntimeError as error:
        _say(f"failed: {error}")
        return 1
    if not options.quick:
        results.append(result)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--hosts", type=int, default=20, metavar="N", help="sshds to compare on (default: 20)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each design (default: 5)")
    parser.add_argument("--known-settings", action="store_true", help="take the best settings from the last result")
    parser.add_argument("--quick", action="store_true", help="two hosts, few designs, once, nothing kept: does it run?")
    parser.add_argument(namespace.INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.parts = options.parts or list(PARTS)
    if options.quick:
        options.hosts, options.repetitions = QUICK_HOSTS, 1
    return options


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {"hosts": options.hosts}
    if "compare" in options.parts or "latency" in options.parts:
        hosts = fleet.start(namespace.HOME / "fleet", options.hosts)
        if "compare" in options.parts:
            result |= _compare(hosts, options)
        if "latency" in options.parts and not options.quick:
            found = latency.latency(hosts, min(3, options.repetitions), namespace.HOME, _say)
            _say(
                f"one round is {found['ratio']:.1f} times as fast as an exec per command (target: at least 15), "
                f"the whole run {found['run_ratio']:.1f} times"
            )
            result["latency"] = found
        hosts.stop()
    if "scale" in options.parts and not options.quick:
        result["scale"] = scale.scale((20, 100, 1000), options.repetitions, namespace.HOME, _say)
    return result


def _compare(hosts: fleet.Fleet, options: argparse.Namespace) -> dict[str, Any]:
    testinfra = QUICK if options.quick else designs.TESTINFRA
    settings = results.last_settings() if options.known_settings else {}
    if options.quick:
        settings = {design.name: Setting() for design in testinfra}
    elif not settings:
        settings = compare.best_settings(hosts, testinfra, namespace.HOME, _say)
    measured = compare.compare(hosts, settings, options.repetitions, namespace.HOME, _say, testinfra)
    walls = compare.ratios(measured, lambda one: one.wall_s)
    cpus = compare.ratios(measured, lambda one: one.cpu_s)
    others = compare.others_share(measured, os.cpu_count() or 1)
    _say("")
    for row in compare.table(measured):
        _say(row)
    _say("")
    for name, ratio in walls.items():
        _say(f"{name}: {ratio:.1f} (target: {TARGETS[name]}), CPU {cpus[name]:.1f}")
    _say(f"others had {100 * others:.0f} % of the CPUs meanwhile")
    return {
        "designs": {
            name: {
                "wall_s": round(one.wall_s, 2),
                "cpu_s": round(one.cpu_s, 2),
                "sshd_cpu_s": round(one.median(lambda sample: sample.sshd_cpu_s), 2),
                "setting": str(one.setting),
            }
            for name, one in measured.items()
        },
        "ratios": {name: round(value, 2) for name, value in walls.items()},
        "cpu_ratios": {name: round(value, 2) for name, value in cpus.items()},
        "repetitions": options.repetitions,
        "others_share": round(others, 2),
    }


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
