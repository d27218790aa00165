"""Runs the parts of a build side by side and tells a watching person that it lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from lab.build.processes import Cancelled, Commands

HEARTBEAT_SECONDS = 10.0


@dataclass(frozen=True)
class Part:
    name: str
    make: Callable[[], None]
    after: tuple[str, ...] = ()


def run(parts: Sequence[Part], commands: Commands, progress: Callable[[str], None]) -> None:
    """Make all parts, each as soon as what it comes after is there; the first failure stops the others."""
    progress(f"build: making {', '.join(part.name for part in parts)}")
    waiting = list(parts)
    begun: dict[Future[None], tuple[str, float]] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=max(1, len(parts))) as pool:
        try:
            while waiting or begun:
                unmade = {p.name for p in waiting} | {name for name, _ in begun.values()}
                for part in [p for p in waiting if failure is None and unmade.isdisjoint(p.after)]:
                    waiting.remove(part)
                    begun[pool.submit(part.make)] = (part.name, time.monotonic())
                if not begun:
                    break
                done, _ = wait(begun, HEARTBEAT_SECONDS, FIRST_COMPLETED)
                if not done:
                    progress("build: " + ", ".join(f"{name} … {_since(t)}" for name, t in begun.values()))
                for future in done:
                    name, started = begun.pop(future)
                    error = future.exception()
                    if error is None:
                        progress(f"build: {name} made in {_since(started)}")
                    elif not isinstance(error, Cancelled) and failure is None:
                        failure = error
                        commands.cancel()
        except BaseException:
            commands.cancel()
            raise
    if failure is not None:
        raise failure


def _since(moment: float) -> str:
    return f"{time.monotonic() - moment:.0f} s"
