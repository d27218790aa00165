"""Questions, and what a check awaits to ask them.

A check is a coroutine. `await ask` suspends it with the asks it needs next; whoever drives it (rounds.py) has them
answered, a round at a time, and resumes it. Nothing in here touches a host.
"""

from siteproof.asks.ask import Ask, Check, Derived, Request, Single, unreadable
from siteproof.asks.combined import Combined, Controlled, Each, Heard, Pair, both, controlled, each, or_silence, total
from siteproof.asks.command import command
from siteproof.asks.questions import Command, Earlier, Output, ProbeClass, Question, Recorded, Stream
from siteproof.asks.remarks import REMARKS, Remarks, note
from siteproof.asks.statuses import MISSING, refuse_no_answer
from siteproof.asks.words import (
    ADDRESS,
    CONTAINER_ID,
    HOST_NAME,
    LINE,
    NUMBER,
    PATH,
    SWARM_ID,
    Form,
    StandIn,
    Word,
)

__all__ = [
    "ADDRESS",
    "Ask",
    "CONTAINER_ID",
    "Check",
    "Combined",
    "Command",
    "Controlled",
    "Derived",
    "Each",
    "Earlier",
    "Form",
    "HOST_NAME",
    "Heard",
    "LINE",
    "MISSING",
    "NUMBER",
    "Output",
    "PATH",
    "Pair",
    "ProbeClass",
    "Question",
    "REMARKS",
    "Recorded",
    "Remarks",
    "Request",
    "SWARM_ID",
    "Single",
    "StandIn",
    "Stream",
    "Word",
    "both",
    "command",
    "controlled",
    "each",
    "note",
    "or_silence",
    "refuse_no_answer",
    "total",
    "unreadable",
]
