"""The whole inventory, validated: families, what is absent, waivers, and the subjects of a check."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from siteproof.errors import BadInput
from siteproof.facts.declared import Declared, nearest, read, read_all
from siteproof.facts.history import History
from siteproof.facts.model import Absent, Family, HostsOf, Node
from siteproof.inventory.inventory import Inventory, Value

PREFIX = "siteproof_"
FOLDER = Path(__file__).parent


class Waiver(Declared):
    """A violation that somebody answers for, until a day."""

    id: str
    hosts: str
    owner: str
    reason: str
    until: date
    """The last day, UTC. From the next day on the waiver is void."""


def _families() -> dict[str, type[Family]]:
    """Those that the modules of this package define, in their places. Raises TypeError for two of one name."""
    modules = [import_module(f"{__package__}.{found.name}") for found in iter_modules([str(FOLDER)])]
    defined = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Family) and value.__module__ == module.__name__
    ]
    families: dict[str, type[Family]] = {}
    for family in sorted((f for f in defined if f is not Family), key=lambda f: (f.place, f.name)):
        if (other := families.setdefault(family.name, family)) is not family:
            raise TypeError(f"{family.__module__} and {other.__module__} both define the family {family.name}")
    return families


FAMILIES: Mapping[str, type[Family]] = _families()
"""Name -> family, of every module beside this one."""
OTHERS = ("absent", "waivers", "history", "lab", "hostname", "machine_id", "alias_of", "unchecked")


@dataclass(frozen=True)
class Case:
    """One subject of one check: the arguments of its parameters."""

    id: str
    host: str | None
    """The vantage point; None if the subject has none."""
    arguments: Mapping[str, Any]
    absent: str | None = None
    """Why the check does not apply."""
    among: tuple[str, ...] = ()
    """The hosts that the subject is of, where it has no vantage point and is of no others."""


@dataclass(frozen=True)
class Site:
    """Everything the inventory says, validated."""

    inventory: Inventory
    families: Mapping[str, Family]
    by_host: Mapping[str, Mapping[str, Family]]
    """Family -> host -> its own facts, for families of scope `host`."""
    absent: Mapping[str, str]
    waivers: tuple[Waiver, ...]
    waiver_hosts: tuple[frozenset[str], ...]
    """The hosts of each waiver."""
    lab: str | None
    unchecked: Mapping[str, str]
    """Host -> why no check looks at it."""
    history: History | None = None
    wanted: Mapping[str, str] = field(default_factory=dict)
    """Host -> the first fact that has it among its hosts, as file, line and key."""
    today: date = field(default_factory=lambda: datetime.now(UTC).date())

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Families that are neither declared nor listed as absent."""
        known = {*self.families, *(f for f, hosts in self.by_host.items() if hosts), *self.absent}
        return tuple(f for f in FAMILIES if f not in known)

    def same_machine(self, one: str, other: str) -> bool:
        """Whether the inventory says that two of its hosts are one machine."""
        aliases = {h.name: f.value for h in self.inventory.hosts.values() if (f := h.facts.get(PREFIX + "alias_of"))}
        return bool(aliases.get(one, one) == aliases.get(other, other))

    def cases(self, family: str, parameters: Mapping[str, type]) -> list[Case]:
        """The subjects of a check of `family` with these parameters, in a stable order.

        A parameter of the family's own type gets the facts themselves and adds nothing to the id.
        """
        if reason := self.absent.get(family):
            return [Case("absent", None, dict.fromkeys(parameters), reason)]
        if FAMILIES[family].scope == "host":
            return [
                Case(host, host, {p: facts if t is type(facts) else Node(host) for p, t in parameters.items()})
                for host, facts in self.by_host.get(family, {}).items()
            ]
        facts = self.families.get(family)
        return [] if facts is None else list(self._product(facts, parameters))

    def _product(self, facts: Family, parameters: Mapping[str, type]) -> Iterator[Case]:
        subjects = facts.subjects(self.hosts_of(facts))
        choices: list[Sequence[Any]] = []
        for parameter, kind in parameters.items():
            if kind is type(facts):
                choices.append([facts])
                continue
            if kind is History:
                if (reason := self._no_history()) is not None:
                    yield Case("absent", None, dict.fromkeys(parameters), reason)
                    return
                choices.append([self.history])
                continue
            if kind not in subjects:
                raise TypeError(f"siteproof_{facts.name} has no subject of type {kind.__name__} for `{parameter}`")
            found = subjects[kind]
            if isinstance(found, Absent):
                yield Case("absent", None, dict.fromkeys(parameters), found.reason)
                return
            choices.append(found)
        for values in itertools.product(*choices):
            shown = [v for v in values if v is not facts and v is not self.history]
            host = next((v.host for v in shown if isinstance(getattr(v, "host", None), str)), None)
            among = () if host else tuple(name for v in shown for name in getattr(v, "among", ()))
            yield Case("-".join(map(str, shown)), host, dict(zip(parameters, values, strict=True)), among=among)

    def _no_history(self) -> str | None:
        """Why nothing can be concluded from earlier runs yet."""
        if self.history is None:
            return "siteproof_history does not say since when runs are kept"
        if self.history.begins(self.today):
            return f"runs are kept since {self.history.since}, which is too early for a trend"
        return None

    def hosts_of(self, facts: Declared) -> HostsOf:
        """Resolves the host patterns of `facts`."""

        def resolve(key: str, pattern: str) -> tuple[str, ...]:
            return _match(self.inventory, facts, key, pattern)

        return resolve


def _match(inventory: Inventory, facts: Declared, key: str, pattern: str) -> tuple[str, ...]:
    try:
        hosts = inventory.match(pattern)
    except BadInput as error:
        raise BadInput(f"{facts.origin(key)}: {facts.path(key)}: {error}") from None
    if not hosts:
        raise BadInput(f"{facts.origin(key)}: {facts.path(key)}: no host matches `{pattern}`")
    return hosts


def read_site(inventory: Inventory) -> Site:
    """Validate every `siteproof_*` variable. Raises BadInput naming file, line and key."""
    _refuse_unknown(inventory)
    families: dict[str, Family] = {}
    by_host: dict[str, dict[str, Family]] = {}
    for name, model in FAMILIES.items():
        variable = PREFIX + name
        if model.scope == "host":
            by_host[name] = {
                host.name: read(model, host.facts[variable], name=variable)
                for host in inventory.hosts.values()
                if variable in host.facts
            }
        elif (value := site_wide(inventory, variable)) is not None:
            families[name] = read(model, value, name=variable)
    absent = _absent(inventory, families, by_host)
    waivers = _waivers(inventory)
    lab = site_wide(inventory, PREFIX + "lab")
    site = Site(
        inventory=inventory,
        families=families,
        by_host=by_host,
        absent=absent,
        waivers=waivers,
        waiver_hosts=tuple(frozenset(_match(inventory, w, "hosts", w.hosts)) for w in waivers),
        lab=None if lab is None else str(lab.value),
        unchecked=_unchecked(inventory),
        history=None if (value := site_wide(inventory, PREFIX + "history")) is None else _history(value),
    )
    wanted = {
        host: f"{inventory.hosts[host].facts[PREFIX + name].line()}: {PREFIX}{name}"
        for name, own in by_host.items()
        for host in own
    }
    for facts in families.values():
        facts.subjects(_remembering(site.hosts_of(facts), facts, wanted))
    return replace(site, wanted=wanted)


def _remembering(resolve: HostsOf, facts: Declared, wanted: dict[str, str]) -> HostsOf:
    """The same, and each host in `wanted` with the fact that named it first."""

    def resolved(key: str, pattern: str) -> tuple[str, ...]:
        hosts = resolve(key, pattern)
        for host in hosts:
            wanted.setdefault(host, f"{facts.origin(key)}: {facts.path(key)}")
        return hosts

    return resolved


def site_wide(inventory: Inventory, variable: str) -> Value | None:
    """The value that all hosts share. Raises BadInput where two hosts have different ones."""
    found: dict[str, Value] = {h.name: h.facts[variable] for h in inventory.hosts.values() if variable in h.facts}
    if not found:
        return None
    first, *others = found.items()
    for host, value in others:
        if value.value != first[1].value:
            raise BadInput(
                f"{value.line()}: {variable} is a fact of the whole site, but {host} has another value than "
                f"{first[0]} ({first[1].line()})"
            )
    return first[1]


def _refuse_unknown(inventory: Inventory) -> None:
    known = [PREFIX + n for n in (*FAMILIES, *OTHERS)]
    for host in inventory.hosts.values():
        for variable, value in host.facts.items():
            if variable not in known:
                near = nearest(variable, known)
                hint = f"; did you mean `{near}`?" if near else f"; known are {', '.join(known)}"
                raise BadInput(f"{value.line()}: {variable} is not known{hint}")


def _history(value: Value) -> History:
    return read(History, value, name=PREFIX + "history")


def _absent(
    inventory: Inventory, families: Mapping[str, Family], by_host: Mapping[str, Mapping[str, Family]]
) -> Mapping[str, str]:
    value = site_wide(inventory, PREFIX + "absent")
    if value is None:
        return {}
    if not isinstance(value.value, dict):
        raise BadInput(f"{value.line()}: siteproof_absent maps a family to the reason why the site has none")
    for family, reason in value.value.items():
        where = value.line(f"/{family}")
        if family not in FAMILIES:
            near = nearest(str(family), list(FAMILIES))
            raise BadInput(
                f"{where}: siteproof_absent.{family} is not a family"
                + (f"; did you mean `{near}`?" if near else f"; known are {', '.join(FAMILIES)}")
            )
        if not isinstance(reason, str) or not reason.strip():
            raise BadInput(f"{where}: siteproof_absent.{family} needs a reason")
        if family in families or by_host.get(family):
            raise BadInput(f"{where}: {family} is declared (siteproof_{family}) and absent at once")
    return dict(value.value)


def _unchecked(inventory: Inventory) -> Mapping[str, str]:
    value = site_wide(inventory, PREFIX + "unchecked")
    if value is None:
        return {}
    if not isinstance(value.value, dict) or not all(isinstance(r, str) and r.strip() for r in value.value.values()):
        raise BadInput(f"{value.line()}: siteproof_unchecked maps a host pattern to the reason why nobody looks there")
    found: dict[str, str] = {}
    for pattern, reason in value.value.items():
        try:
            found |= dict.fromkeys(inventory.match(str(pattern)), str(reason))
        except BadInput as error:
            raise BadInput(f"{value.line(f'/{pattern}')}: siteproof_unchecked: {error}") from None
    return found


def _waivers(inventory: Inventory) -> tuple[Waiver, ...]:
    value = site_wide(inventory, PREFIX + "waivers")
    return () if value is None else read_all(Waiver, value, name=PREFIX + "waivers")
