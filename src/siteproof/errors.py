"""Why there is no answer. None of these says anything about the site: the verdict is *unknown*.

ProbeError
├── Unreachable            no connection: refused, no route, timed out, name not found
├── AuthenticationRefused  the host is there, it does not let this user in
├── HostKeyUnknown         no key of this host in known_hosts
├── HostKeyMismatch        another key than the one in known_hosts
├── WrongHost              connected, but hostname or machine-id is not the declared one
├── OverBudget             the time that the run may take was over (--budget)
├── PrivilegeRefused       sudo wants a password, or does not allow the command
├── ChannelRefused         sshd refused one more session, or forbids forwarding; no stream through this backend
├── ToolMissing            the tool is not on the host
├── ToolFailed             the tool ended with a status that is not an answer
├── Unanswered             a server, asked through the host, refused the connection or kept silent
├── TimedOut               nothing came within the outer deadline
├── GivenUp                not asked: what it would have waited for has kept others waiting in vain
├── Truncated              the output ended before its end marker
├── TooLarge               more output than the byte cap
├── Unparseable            the output is not what this tool prints
├── Withheld               a secret of the inventory stood in the answer, and what is kept of it is another text
├── NoControl              a silence or an absence without its positive control
├── NotAllowed             the operator did not consent to a question of this class
├── NotRecorded            replay: the question is not in the bundle
└── TooManyRounds          a check went on asking after the last round
"""

from __future__ import annotations

from typing import ClassVar


class ProbeError(Exception):
    """The question was not answered. `str(error)` is one sentence for the operator.

    `host` is the vantage point that was asked, where known.
    """

    registry: ClassVar[dict[str, type[ProbeError]]] = {}

    def __init__(self, message: str, *, host: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.host = host

    def __init_subclass__(cls) -> None:
        ProbeError.registry[cls.__name__] = cls

    @property
    def kind(self) -> str:
        return type(self).__name__

    @staticmethod
    def of_kind(kind: str, message: str, *, host: str | None = None) -> ProbeError:
        """The error as it was recorded in a bundle; an unknown kind stays a plain ProbeError."""
        return ProbeError.registry.get(kind, ProbeError)(message, host=host)


class HostError(ProbeError):
    """Nothing at all can be asked on this host; one cause for all its questions."""


class Unreachable(HostError): ...


class AuthenticationRefused(HostError): ...


class HostKeyUnknown(HostError): ...


class HostKeyMismatch(HostError): ...


class WrongHost(HostError): ...


class OverBudget(HostError): ...


class PrivilegeRefused(ProbeError): ...


class ChannelRefused(ProbeError): ...


class ToolMissing(ProbeError): ...


class ToolFailed(ProbeError): ...


class Unanswered(ProbeError):
    """Nobody answers there. A silence: with a control beside it, it may become an answer (`asks.or_silence`)."""


class TimedOut(ProbeError): ...


class GivenUp(ProbeError): ...


class Truncated(ProbeError): ...


class TooLarge(ProbeError): ...


class Unparseable(ProbeError): ...


class Withheld(ProbeError): ...


class NoControl(ProbeError): ...


class NotAllowed(ProbeError): ...


class NotRecorded(ProbeError): ...


class TooManyRounds(ProbeError): ...


class BadInput(Exception):
    """What the operator gave is wrong: one sentence that names file, line and key. Exit code 4."""


class NoSuchConnection(BadInput):
    """A host is reached in a way that siteproof does not go."""
