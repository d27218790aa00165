"""`/services` and `/tasks`: what is meant to run, and what does."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator

from siteproof.asks.words import Address
from siteproof.errors import Unparseable
from siteproof.probes.common.sections import Sections
from siteproof.probes.swarm.documents.document import (
    AddressText,
    Document,
    Items,
    Map,
    Moment,
    Small,
    SwarmId,
    SwarmIdOrNone,
    Text,
    any_address,
    document,
    one_of,
    read_each,
    stack,
)
from siteproof.probes.swarm.model import COMPLETE, OWN, OWN_LABEL, RUNNING, STATES, Service, Task, Unread


class _Job(Document):
    MaxConcurrent: int | None = None
    TotalCompletions: int | None = None


class _Mode(Small):
    """One of these, and the others are left out."""

    Replicated: Any = None
    Global: Any = None
    ReplicatedJob: _Job | None = None
    GlobalJob: Any = None


CONDITIONS = ("", "any", "none", "on-failure")
_ENDS = {"none": frozenset({"complete", "failed", "rejected"}), "on-failure": frozenset({"complete"})}
"""In which state a task is the last of its slot, by the condition on which it is restarted."""


class _RestartPolicy(Small):
    Condition: Annotated[str, one_of(CONDITIONS)] = ""
    Delay: Any = None
    MaxAttempts: Any = None
    Window: Any = None


class _Template(Document):
    RestartPolicy: _RestartPolicy | None = None


class _ServiceSpec(Small):
    Name: Text
    Labels: Map[str, str]
    Mode: _Mode
    TaskTemplate: _Template | None = None
    UpdateConfig: Any = None
    RollbackConfig: Any = None
    Networks: Any = None
    EndpointSpec: Any = None

    @property
    def ends(self) -> frozenset[str]:
        policy = self.TaskTemplate.RestartPolicy if self.TaskTemplate else None
        return _ENDS.get(policy.Condition if policy else "", frozenset())


class _VirtualIP(Small):
    NetworkID: SwarmId
    # Left out until it is allocated, and never null.
    Addr: Annotated[Address | None, PlainValidator(any_address)] = None


class _Endpoint(Small):
    Spec: Any = None
    Ports: Any = None
    VirtualIPs: Items[_VirtualIP]
    """Left out by a service that is on no network."""


class _ServiceStatus(Document):
    RunningTasks: int
    DesiredTasks: int


class _UpdateStatus(Document):
    State: str = ""


class _Service(Document):
    ID: SwarmId
    Spec: _ServiceSpec
    Endpoint: _Endpoint
    ServiceStatus: _ServiceStatus
    UpdateStatus: _UpdateStatus | None = None


_PLACED = frozenset({"assigned", "accepted", "preparing", "ready", "starting", "running", COMPLETE})


class _ContainerSpec(Document):
    Labels: Map[str, str]


class _TaskSpec(Document):
    ContainerSpec: _ContainerSpec | None = None
    Networks: list[Any] | None = None


class _TaskStatus(Document):
    State: Annotated[str, one_of(STATES)]
    Err: str = ""


class _Network(Document):
    ID: SwarmId


class _Attachment(Small):
    Network: _Network
    Addresses: Items[AddressText]
    """Left out until they are allocated."""


class _Task(Document):
    ID: SwarmId
    ServiceID: SwarmIdOrNone = ""
    NodeID: SwarmIdOrNone = ""
    """Left out until it is scheduled."""
    Spec: _TaskSpec
    Status: _TaskStatus
    DesiredState: Annotated[str, one_of(STATES)]
    CreatedAt: Moment
    NetworksAttachments: Items[_Attachment]
    Slot: int = 0
    """0 for one of a global service: it has a node's id in its place."""

    @property
    def is_own(self) -> bool:
        container = self.Spec.ContainerSpec
        return container is not None and OWN_LABEL in container.Labels


def services_and_tasks(sections: Sections) -> tuple[tuple[Service, ...], tuple[Task, ...], tuple[Unread, ...]]:
    """All that the manager lists, but for a canary of ours, and what of it could not be read.

    Raises Unparseable where the two lists differ.
    """
    listed, odd_tasks = read_each(_Task, document(sections, "tasks"), "tasks", _checked)
    known, odd = read_each(
        _Service, document(sections, "services"), "services", lambda found: _service(found, _ended(found, listed))
    )
    # A canary that is there for these seconds is none of the site's, nor what is left of it for a moment.
    own = {service.id for service in known if service.name.startswith(OWN)}
    services = tuple(service for service in known if service.id not in own)
    tasks = tuple(_task(found) for found in listed if found.ServiceID not in own and not found.is_own)
    missing = {t.service for t in tasks if t.desired in ("running", COMPLETE)} - {s.id for s in services}
    if missing := {id for id in missing if not any(id in item.text for item in odd)}:
        raise Unparseable(f"the list of services lacks {sorted(missing)}, which have tasks that shall run")
    if (running := sum(s.running for s in services)) > len(tasks) + len(odd_tasks):
        raise Unparseable(f"{running} tasks are said to run, and {len(tasks)} are listed")
    return services, tasks, (*odd, *odd_tasks)


def _ended(service: _Service, tasks: list[_Task]) -> int:
    """The slots (by number, or by node) whose newest task has ended, and is the last."""
    newest: dict[tuple[int, str], _Task] = {}
    for task in tasks:
        place = (task.Slot, "" if task.Slot else task.NodeID)
        if task.ServiceID == service.ID and (place not in newest or newest[place].CreatedAt < task.CreatedAt):
            newest[place] = task
    return sum(t.Status.State in service.Spec.ends and STATES.index(t.DesiredState) > RUNNING for t in newest.values())


def _service(found: _Service, ended: int) -> Service:
    mode = found.Spec.Mode
    if len(mode.model_fields_set) != 1:
        raise Unparseable(f"dockerd's API gives {len(mode.model_fields_set)} modes to the service {found.Spec.Name}")
    return Service(
        id=found.ID,
        name=found.Spec.Name,
        stack=stack(found.Spec.Labels),
        addresses=tuple((ip.NetworkID, ip.Addr) for ip in found.Endpoint.VirtualIPs if ip.Addr is not None),
        running=found.ServiceStatus.RunningTasks,
        wanted=found.ServiceStatus.DesiredTasks,
        update=found.UpdateStatus.State if found.UpdateStatus else "",
        job=not {"ReplicatedJob", "GlobalJob"}.isdisjoint(mode.model_fields_set),
        ended=ended,
    )


def _checked(found: _Task) -> _Task:
    runs, placed = found.Status.State == "running", found.Status.State in _PLACED
    if (placed and not found.NodeID) or (runs and found.Spec.Networks and not found.NetworksAttachments):
        raise Unparseable(f"the task {found.ID} runs or has run, and the list does not say where or on which networks")
    if found.Spec.ContainerSpec and not found.ServiceID:
        raise Unparseable(f"the task {found.ID} is of a service, and the list does not say of which")
    return found


def _task(found: _Task) -> Task:
    return Task(
        id=found.ID,
        service=found.ServiceID,
        node=found.NodeID,
        state=found.Status.State,
        desired=found.DesiredState,
        created=found.CreatedAt,
        addresses=tuple((each.Network.ID, a) for each in found.NetworksAttachments for a in each.Addresses),
        error=found.Status.Err,
    )
