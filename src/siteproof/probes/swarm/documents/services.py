"""`/services` and `/tasks`: what is meant to run, and what does."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Any

from pydantic import PlainValidator

from siteproof.errors import Unparseable
from siteproof.probes.common.sections import Sections
from siteproof.probes.swarm.documents.document import (
    Document,
    IPv4Text,
    Items,
    Map,
    Moment,
    Small,
    SwarmId,
    SwarmIdOrNone,
    Text,
    address,
    document,
    one_of,
    read_list,
    stack,
)
from siteproof.probes.swarm.model import OWN, OWN_LABEL, STATES, Service, Task


class _ServiceSpec(Document):
    Name: Text
    Labels: Map[str, str] | None = None


class _VirtualIP(Small):
    NetworkID: SwarmId
    # Left out until it is allocated, and never null.
    Addr: Annotated[IPv4Address | None, PlainValidator(address)] = None


class _Endpoint(Small):
    Spec: Any = None
    Ports: Any = None
    VirtualIPs: Items[_VirtualIP] = []
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


class _ContainerSpec(Document):
    Labels: Map[str, str] | None = None


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
    Addresses: Items[IPv4Text] = []
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
    NetworksAttachments: Items[_Attachment] = []

    @property
    def is_own(self) -> bool:
        container = self.Spec.ContainerSpec
        return container is not None and OWN_LABEL in (container.Labels or {})


def services_and_tasks(sections: Sections) -> tuple[tuple[Service, ...], tuple[Task, ...]]:
    """All that the manager lists, but for a canary of ours. Raises Unparseable where the two lists differ."""
    # A canary that is there for these seconds is none of the site's, nor what is left of it for a moment.
    known = [_service(found) for found in read_list(_Service, document(sections, "services"), "services")]
    own = {service.id for service in known if service.name.startswith(OWN)}
    services = tuple(service for service in known if service.id not in own)
    listed = read_list(_Task, document(sections, "tasks"), "tasks")
    tasks = tuple(_task(found) for found in listed if found.ServiceID not in own and not found.is_own)
    if missing := {t.service for t in tasks if t.desired == "running"} - {s.id for s in services}:
        raise Unparseable(f"the list of services lacks {sorted(missing)}, which have tasks that shall run")
    if (running := sum(s.running for s in services)) > len(tasks):
        raise Unparseable(f"{running} tasks are said to run, and {len(tasks)} are listed")
    return services, tasks


def _service(found: _Service) -> Service:
    return Service(
        id=found.ID,
        name=found.Spec.Name,
        stack=stack(found.Spec.Labels),
        addresses=tuple((ip.NetworkID, ip.Addr) for ip in found.Endpoint.VirtualIPs if ip.Addr is not None),
        running=found.ServiceStatus.RunningTasks,
        wanted=found.ServiceStatus.DesiredTasks,
        update=found.UpdateStatus.State if found.UpdateStatus else "",
    )


def _task(found: _Task) -> Task:
    attached = found.NetworksAttachments
    if found.Status.State == "running" and (not found.NodeID or (found.Spec.Networks and not attached)):
        raise Unparseable(f"the task {found.ID} runs, and the list does not say where or on which networks")
    return Task(
        id=found.ID,
        service=found.ServiceID,
        node=found.NodeID,
        state=found.Status.State,
        desired=found.DesiredState,
        created=found.CreatedAt,
        addresses=tuple((each.Network.ID, address) for each in attached for address in each.Addresses),
        error=found.Status.Err,
    )
