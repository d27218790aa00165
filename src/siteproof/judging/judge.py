"""Judges checks on the evidence, and believes no host that may be another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from siteproof.asks import Check, Question
from siteproof.errors import WrongHost
from siteproof.evidence.bundle import Replay
from siteproof.evidence.store import Store
from siteproof.facts import Site
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

    def __init__(self, site: Site, store: Store, selection: Selection) -> None:
        self._site = site
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

    def doubt(self) -> None:
        """Believe neither of two hosts that are one machine, unless the inventory says that they are."""
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

    def _doubt_of(self, trace: rounds.Trace) -> WrongHost | None:
        said = next((self._doubted[q.host] for q in trace.asked.values() if q.host in self._doubted), None)
        return None if said is None else WrongHost(said)
