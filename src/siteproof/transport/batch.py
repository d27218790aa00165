"""Many commands through one shell: the script that asks them, and the frames their answers come in.

Everything here is pure. The script is POSIX sh for the stdin of `sh -s`. After each command it prints a line with the
channel's nonce on stdout and on stderr; what a stream had before that line, and after the one before, is the command's.

Each command runs in a process group of its own: coreutils' timeout makes one, beside another (BusyBox's) setsid does.
What it leaves running in the background is killed with the group when the command ends, so that it cannot write into
the next command's frame. A child that leaves the group (setsid, or root's under sudo) and keeps the streams is not
found out: a probe that starts one has to redirect its output. A host without timeout has no group either.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from siteproof.asks import MISSING, Command
from siteproof.asks.dialects import translated
from siteproof.transport.patience import GIVE_UP_S, IN_VAIN_S

MARGIN_S = 2
"""The frame's limit is the probe's deadline and this; a tool that keeps its own deadline has answered before."""
KILL_AFTER_S = 1
NO_TIMEOUT = "none"
LONGEST_SCRIPT = 256 * 1024
"""Commands per channel are cut here, well within a channel's first window: nobody reads while the script is sent."""
_KILLED_STATUSES = (124, 137, 143)
_TICK_S = 0.05
"""/proc/uptime has hundredths of a second."""
_ENDED = re.compile(r"([0-9]{1,3})(?: ([0-9]{1,12}\.[0-9]{2}) ([0-9]{1,12}\.[0-9]{2}))?")
"""A status, and the host's uptime before and after, where it tells."""
_GIVEN_UP = "given-up"
"""In place of a status: the host's shell has not run this command."""

_NEED = f"""need() {{
for tool; do command -v "$tool" >/dev/null 2>&1 || {{ echo "{MISSING}$tool" >&2; exit 127; }}; done
}}
"""
_NO_SUDO = """no_sudo() { echo "sudo: not used, because ansible_become is false for this host" >&2; exit 1; }
"""
_PRELUDE = """unset CDPATH ENV BASH_ENV POSIXLY_CORRECT LANGUAGE NLSPATH GREP_OPTIONS GREP_COLOR GREP_COLORS TIME_STYLE
unset QUOTING_STYLE BLOCKSIZE BLOCK_SIZE LS_BLOCK_SIZE DF_BLOCK_SIZE DU_BLOCK_SIZE TABSIZE COLUMNS LINES
unset LOCALDOMAIN RES_OPTIONS HOSTALIASES SYSTEMD_PAGER SYSTEMD_COLORS SYSTEMD_URLIFY SYSTEMD_LOG_LEVEL PAGER
cd /
PATH=${PATH:-/usr/bin:/bin} LC_ALL=C NONCE=%(run_nonce)s
export PATH LC_ALL NONCE
roots_own() {
for at in "$1" "${1%%/*}" /usr; do
[ -d "$at" ] && ! [ -h "$at" ] || return
line=$(ls -ldn "$at" 2>/dev/null) || return
# shellcheck disable=SC2086 # its words
set -- $line
[ "$3" = 0 ] || return
case $line in
d????-??-*) ;;
d???????-?[!+]*) [ "$4" = 0 ] || return ;;
*) return 1 ;;
esac
done
}
add() {
for each; do
case :$path: in *":$each:"*) continue ;; esac
case $each in /usr/local/*) roots_own "$each" || continue ;; esac
path=$path:$each
done
}
path=$PATH
if [ "$(id -u)" = 0 ]; then add /usr/local/sbin /usr/local/bin /usr/sbin /sbin
else path=$path:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
fi
PATH=$path
nonce=%(nonce)s
functions=%(functions)s
if timeout -k 1 1 true; then timeout="timeout -k 1"
elif timeout 1 true; then timeout=timeout
elif timeout -t 1 true; then timeout="timeout -t"
else timeout=
fi 2>/dev/null
group=
[ -z "$timeout" ] || { timeout --version || ! setsid true; } >/dev/null 2>&1 || group=setsid
[ "$(id -u)" = 0 ] && sudo= || sudo="%(sudo)s"
%(narrow)s
now() { { read -r up rest </proc/uptime; } 2>/dev/null || up=; }
mark() { printf '\\n%%s %%s\\n' "$nonce" "$1 $2"; printf '\\n%%s %%s\\n' "$nonce" "$1" >&2; }
frame() {
eval "waited=\\${waited_$6:-0}"
[ "$waited" -lt %(give_up)d ] || { mark "$1" %(given_up)s; return; }
DEADLINE=$2 ROOT=$sudo${sudo:+${limit:+ $limit $3}${wider:+ $wider}}
export DEADLINE ROOT
now
begun=$up
$group ${timeout:+$timeout $4} sh -c "$functions$5" </dev/null &
wait $! 2>/dev/null
result=$?
[ -z "$timeout" ] || kill -s KILL -- "-$!" 2>/dev/null
now
mark "$1" "$result $begun $up"
[ -n "$up" ] && [ "$6" != 0 ] || return 0
took=$((${up%%.*}${up#*.} - ${begun%%.*}${begun#*.}))
[ "$took" -ge %(in_vain)d ] && waited=$((waited + took)) || waited=0
eval "waited_$6=$waited"
}
mark start "${timeout:-%(no_timeout)s}"
"""
# sudo may allow no more than the commands themselves; then the limit is sudo's own (see `sudoers`), and so is the PATH.
# Else a directory that root's PATH lacks there, and that is root's alone to change, is added to it (`secure_path`).
_NARROW = """limit=$timeout wider=
# shellcheck disable=SC2086 # several words, or none
[ -z "$sudo" ] || [ -z "$limit" ] || $sudo%(lists)s $limit 1 true </dev/null >/dev/null 2>&1 || limit=
# Root's timeout may be another than ours.
# shellcheck disable=SC2016,SC2086 # root's own; several words
if [ -n "$sudo" ] && [ -n "$limit" ]; then
for limit in "$limit" timeout ''; do
[ -n "$limit" ] && path=$($sudo $limit 1 sh -c 'echo "$PATH"' </dev/null 2>/dev/null) && break
path=
done
case $path in
'' | *[!A-Za-z0-9:/._-]*) ;;
*) given=$path; add /usr/local/sbin /usr/local/bin /usr/sbin /sbin; [ "$path" = "$given" ] || wider="env PATH=$path" ;;
esac
fi"""

NO_SUDO = "no_sudo"


@dataclass(frozen=True)
class RunContext:
    """What is the same for every host of a run."""

    nonce: str
    """`$NONCE` of the commands."""
    byte_cap: int = 4 << 20
    """Per stream and command."""


def limit_s(command: Command) -> int:
    """When the host kills the command. Whole seconds, because not every timeout takes a fraction."""
    return whole_deadline_s(command) + MARGIN_S


def used_up(command: Command, answer: Answer, seconds: float) -> bool:
    """Whether the command was killed at its limit, as opposed to ending with the same status by itself.

    By the host's clock, which is Linux's. By another host, `seconds` on ours: from mark to mark, which may be late by
    the network and our own load, so that a second is forgiven. To take one for the other is to call a tool's failure a
    timeout, or the reverse, and never makes an answer.
    """
    if answer.status not in _KILLED_STATUSES:
        return False
    if answer.host_seconds is not None:
        return answer.host_seconds >= limit_s(command) - _TICK_S
    return seconds >= limit_s(command) - 1


def script(
    commands: Sequence[Command],
    *,
    nonce: str,
    run: RunContext,
    sudo: str,
    lists: bool = True,
    stop_unless_first: bool = False,
) -> bytes:
    """The shell script that asks `commands` in order. `stop_unless_first`: no other is run if the first fails.

    `sudo` is how a shell that is not root's runs one command as root: words that do so without asking (`sudo -n`),
    NO_SUDO where it may not, nothing where it is root's after all. `lists`: it tells by `-l` whether it may.
    """
    functions = _NEED + _NO_SUDO if sudo == NO_SUDO else _NEED
    names = {
        "run_nonce": shlex.quote(run.nonce),
        "nonce": nonce,
        "functions": shlex.quote(functions),
        "no_timeout": NO_TIMEOUT,
        "give_up": GIVE_UP_S * 100,
        "given_up": _GIVEN_UP,
        "in_vain": IN_VAIN_S * 100,
        "sudo": sudo,
        "narrow": "limit=$timeout wider=",
    }
    if sudo not in ("", NO_SUDO) and any(command.root for command in commands):
        names["narrow"] = _NARROW % {"lists": " -l" if lists else ""}
    # Slow ones wait as a matter of course. The shell knows what is waited for by a number.
    numbers: dict[str, int] = {"": 0}
    waits = [numbers.setdefault("" if c.slow else c.waits, len(numbers)) for c in commands]
    frames = [_frame(index, command, waits[index]) for index, command in enumerate(commands)]
    if stop_unless_first:
        frames.insert(1, '[ "$result" = 0 ] || exit 0')
    return "\n".join([_PRELUDE % names, *frames, "exit 0", ""]).encode("utf-8", "surrogateescape")


def _frame(index: int, command: Command, waits_for: int) -> str:
    limits = f"{command.deadline_s:g} {whole_deadline_s(command)} {limit_s(command)}"
    return f"frame {index} {limits} {shlex.quote(translated(command.script))} {waits_for}"


def whole_deadline_s(command: Command) -> int:
    return max(1, math.ceil(command.deadline_s))


def portions(commands: Iterable[Command]) -> Iterator[list[Command]]:
    """`commands` in order, cut into scripts of a bounded length."""
    portion: list[Command] = []
    length = 0
    for command in commands:
        if portion and length + len(command.script) > LONGEST_SCRIPT:
            yield portion
            portion, length = [], 0
        portion.append(command)
        length += len(command.script)
    if portion:
        yield portion


@dataclass(frozen=True)
class Mark:
    """A nonce line, and what its stream had before it. `body` is None where that was more than the cap."""

    word: str
    argument: str
    body: bytes | None


class FrameReader:
    """One stream, cut at its nonce lines. Takes chunks of any size, keeps little more than the cap."""

    def __init__(self, nonce: str, cap: int) -> None:
        self._nonce = f"\n{nonce} ".encode()
        self._cap = cap
        self._buffer = bytearray()
        self._searched = 0
        self.too_large = False
        """What came since the last mark is more than the cap; it is not kept."""

    def feed(self, chunk: bytes) -> list[Mark]:
        self._buffer += chunk
        marks = []
        while (mark := self._next()) is not None:
            marks.append(mark)
        return marks

    @property
    def rest(self) -> bytes:
        """What came since the last mark."""
        return bytes(self._buffer)

    def _next(self) -> Mark | None:
        start = self._buffer.find(self._nonce, self._searched)
        end = self._buffer.find(b"\n", start + len(self._nonce)) if start >= 0 else -1
        if end < 0:
            self._searched = start if start >= 0 else max(0, len(self._buffer) - len(self._nonce))
            self._drop_excess()
            return None
        fits = not self.too_large and start <= self._cap
        body = bytes(self._buffer[:start]) if fits else None
        line = self._buffer[start + len(self._nonce) : end].decode("ascii", "replace")
        del self._buffer[: end + 1]
        self._searched, self.too_large = 0, False
        word, _, argument = line.partition(" ")
        return Mark(word, argument, body)

    def _drop_excess(self) -> None:
        if self._searched > self._cap:
            self.too_large = True
            del self._buffer[: self._searched]
            self._searched = 0


class OutOfFrame(Exception):
    """A mark that cannot stand where it stood."""


@dataclass(frozen=True)
class Answer:
    """One command's frame, whole on both streams. None in place of a stream that was over the cap."""

    index: int
    status: int
    stdout: bytes | None
    stderr: bytes | None
    host_seconds: float | None = None
    """How long it took by the host's clock; None where the host is not Linux."""
    given_up: bool = False
    """It was not run: others before it have waited in vain for the same."""


class Frames:
    """Both streams of a channel, put together to the answers of its commands."""

    def __init__(self, nonce: str, cap: int) -> None:
        self.cap = cap
        self._readers = FrameReader(nonce, cap), FrameReader(nonce, cap)
        self._marks: tuple[list[Mark], list[Mark]] = ([], [])
        self.timeout: str | None = None
        """The host's way to call timeout, or `none`; known once the shell has started."""
        self.answered = 0

    @property
    def started(self) -> bool:
        return self.timeout is not None

    @property
    def too_large(self) -> bool:
        """The running command has written more than the cap."""
        return self.started and any(reader.too_large for reader in self._readers)

    @property
    def rest(self) -> tuple[bytes, bytes]:
        """What came on stdout and stderr since the last mark."""
        return self._readers[0].rest, self._readers[1].rest

    def stdout(self, chunk: bytes) -> list[Answer]:
        return self._feed(0, chunk)

    def stderr(self, chunk: bytes) -> list[Answer]:
        return self._feed(1, chunk)

    def _feed(self, stream: int, chunk: bytes) -> list[Answer]:
        self._marks[stream].extend(self._readers[stream].feed(chunk))
        answers = []
        out, errors = self._marks
        while out and errors:
            if (answer := self._pair(out.pop(0), errors.pop(0))) is not None:
                answers.append(answer)
        return answers

    def _pair(self, out: Mark, errors: Mark) -> Answer | None:
        if out.word != errors.word:
            raise OutOfFrame(f"{out.word!r} on stdout, {errors.word!r} on stderr")
        if out.word == "start" and not self.started:
            self.timeout = out.argument
            return None
        if self.started and out.word == str(self.answered) and out.argument.rstrip() == _GIVEN_UP:
            self.answered += 1
            return Answer(self.answered - 1, 0, b"", b"", given_up=True)
        ended = _ENDED.fullmatch(out.argument.rstrip())
        if not self.started or out.word != str(self.answered) or ended is None:
            raise OutOfFrame(f"{out.word} {out.argument} where {self.answered} was due")
        self.answered += 1
        seconds = None if ended[2] is None else float(ended[3]) - float(ended[2])
        return Answer(self.answered - 1, int(ended[1]), out.body, errors.body, seconds)
