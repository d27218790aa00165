"""Judges checks on the evidence, and believes no host that may be another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from siteproof.asks import Check, Question
from siteproof.errors import WrongHost
from siteproof.evidence.bundle import Replay
from siteproof.evidence.known_machines import Known
from siteproof.evidence.store import HostRecord, Store
from siteproof.facts import PREFIX, Site
from siteproof.facts.declared import CITED, Citation
from siteproof.judging import rounds
from siteproof.judging.selection import Here, Selection
from siteproof.judging.verdicts import COMPARED, Comparison
from siteproof.text.redaction import REDACTED


@dataclass
class Judgement:
    """What is known once a check was judged."""

    trace: rounds.Trace
    cited: list[Citation]
    compared: list[Comparison]


class Judge:
    """Runs checks on the evidence of a run, in the process that has them."""

    def __init__(
        self, site: Site, store: Store, selection: Selection, known_machines: Mapping[str, Known] | None = None
    ) -> None:
        self._site = site
        self._known = known_machines or {}
        self._store = store
        # In a part of the site nobody has asked the other hosts.
        self._evidence = store if selection.every_host else Here(store, selection.hosts)
        self._doubted: dict[str, str] = {}
        """Host -> why what it says may be another's answer."""
        self._live: dict[str, Question] = {}
        """What the plain check that runs now has asked."""

    def run(self, check: Check) -> tuple[BaseException | None, Judgement]:
        """Run a check on the evidence; gives what it raised, if anything, and what it read on its way."""
        judgement = Judgement(rounds.Trace(), [], [])
        cited, compared = CITED.set(judgement.cited), COMPARED.set(judgement.compared)
        try:
            rounds.judge(check, self._evidence, judgement.trace)
        except AssertionError as error:
            return self._doubt_of(judgement.trace) or error, judgement
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - `verdicts` says what it means
            return error, judgement
        finally:
            CITED.reset(cited)
            COMPARED.reset(compared)
        return self._doubt_of(judgement.trace), judgement

    def listen(self, question: Question) -> None:
        """The plain check that runs now asks this."""
        self._live[question.key] = question

    def heard(self) -> Judgement:
        """What a plain check has asked, once it has ended."""
        asked, self._live = self._live, {}
        return Judgement(rounds.Trace(asked=asked), [], [])

    def machines(self) -> dict[str, str]:
        """Host -> machine-id, of all that were met and are who they should be. To be asked after `doubt`."""
        met = self._store.host_records().items()
        found = {name: record.identity.get("machine_id", "") for name, record in met if name not in self._doubted}
        return {name: machine for name, machine in found.items() if machine and REDACTED not in machine}

    def doubt(self) -> None:
        """Find out whose answers may be another's.

        Believe neither of two hosts that are one machine, unless the inventory says that they are; none that calls
        itself by another host's name; and none that is another machine than it was, unless it is declared to be.
        """
        if isinstance(self._store, Replay):
            self._doubted |= self._store.unknown_hosts
        by_machine: dict[str, list[str]] = {}
        for name, record in sorted(self._store.host_records().items()):
            machine = record.identity.get("machine_id")
            if machine and REDACTED not in machine:  # what is secret of one tells nothing of two
                by_machine.setdefault(machine, []).append(name)
        for pair in (pair for names in by_machine.values() for pair in combinations(names, 2)):
            if not self._site.same_machine(*pair):
                said = (
                    f"{' and '.join(pair)} have the same machine-id: one of them is not the host that the inventory "
                    "says, or both are one (then say so: siteproof_alias_of)"
                )
                self._doubted |= dict.fromkeys(pair, said)
        for name, record in self._store.host_records().items():
            if name not in self._doubted and (doubt := self._impostor(name, record) or self._another(name, record)):
                self._doubted[name] = doubt

    def _impostor(self, name: str, record: HostRecord) -> str | None:
        """Why it seems to be another host of the inventory, if it does. A name that is declared is no riddle."""
        hosts, said = self._site.inventory.hosts, record.identity.get("hostname", "")
        if name not in hosts or f"{PREFIX}hostname" in hosts[name].facts or _label(said) == _label(name):
            return None
        others = [h for h in hosts if _label(h) == _label(said) and not self._site.same_machine(name, h)]
        if not others or REDACTED in said:
            return None
        return (
            f"{name} calls itself {said}, and {others[0]} is another host of the inventory: one of the two is reached "
            f"at the other's address, or {name} is called so (then say so: siteproof_hostname)"
        )

    def _another(self, name: str, record: HostRecord) -> str | None:
        """Why it seems to be another machine than in earlier runs, if it does."""
        machine, hosts = record.identity.get("machine_id", ""), self._site.inventory.hosts
        declared = name in hosts and f"{PREFIX}machine_id" in hosts[name].facts
        if (before := self._known.get(name)) is None or declared or machine in ("", before.machine_id):
            return None
        return (
            f"{name} has another machine-id than it had since {before.since} ({before.place}): it is another machine, "
            "or was made anew (then take that line away)"
        )

    def _doubt_of(self, trace: rounds.Trace) -> WrongHost | None:
        said = next((self._doubted[q.host] for q in trace.asked.values() if q.host in self._doubted), None)
        return None if said is None else WrongHost(said)


def _label(hostname: str) -> str:
    return hostname.partition(".")[0].lower()
