"""Questions, and what a check awaits to ask them.

A check is a coroutine. `await ask` suspends it with the asks it needs next; whoever drives it (`rounds`) has them
answered, a round at a time, and resumes it. Nothing in here touches a host.
"""

from siteproof.asks.answers import Answers
from siteproof.asks.ask import Ask, Check, Derived, Request, Single, unreadable
from siteproof.asks.combined import Combined, Controlled, Each, Heard, Pair, both, controlled, each, or_silence, total
from siteproof.asks.command import LARGE, SMALL, bounded, command
from siteproof.asks.consent import CLASSES, Consent, heaviest
from siteproof.asks.hosts import HasHost, Host, name_of
from siteproof.asks.past import Past, past
from siteproof.asks.questions import Command, Earlier, Output, ProbeClass, Question, Recorded, Stream, Versions
from siteproof.asks.remarks import REMARKS, Remarks, note
from siteproof.asks.statuses import MISSING, refuse_no_answer, refuse_withheld
from siteproof.asks.words import (
    ADDRESS,
    ARGUMENT,
    CONTAINER_ID,
    HOST_NAME,
    IMAGE,
    LINE,
    NETWORK_ID,
    NETWORK_NAME,
    NOTHING,
    NUMBER,
    PATH,
    PORTS,
    PROXY,
    RECORD_TYPE,
    SWARM_ID,
    URL,
    Form,
    StandIn,
    Word,
)

__all__ = [
    "ADDRESS",
    "ARGUMENT",
    "Answers",
    "Ask",
    "CLASSES",
    "CONTAINER_ID",
    "Consent",
    "Check",
    "Combined",
    "Command",
    "Controlled",
    "Derived",
    "Each",
    "Earlier",
    "Form",
    "HOST_NAME",
    "HasHost",
    "Heard",
    "Host",
    "IMAGE",
    "LARGE",
    "LINE",
    "MISSING",
    "NETWORK_ID",
    "NETWORK_NAME",
    "NOTHING",
    "NUMBER",
    "Output",
    "PATH",
    "PORTS",
    "PROXY",
    "Past",
    "past",
    "Pair",
    "ProbeClass",
    "Question",
    "RECORD_TYPE",
    "REMARKS",
    "Recorded",
    "Remarks",
    "Request",
    "SMALL",
    "SWARM_ID",
    "Single",
    "StandIn",
    "Stream",
    "URL",
    "Versions",
    "Word",
    "both",
    "bounded",
    "command",
    "controlled",
    "each",
    "heaviest",
    "name_of",
    "note",
    "or_silence",
    "refuse_no_answer",
    "refuse_withheld",
    "total",
    "unreadable",
]
