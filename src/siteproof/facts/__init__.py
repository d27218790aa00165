"""What must be true of the site, as its inventory declares it.

One variable `siteproof_<family>` per family, one file here per subject. A family's model says what may stand in it; its
`subjects` say over what the family's checks are parametrized. No expected value stands in Python.
"""

from siteproof.facts.dns import Asker, Client, Dns, Fleet, Ingress, Name, Resolving, View, Zone
from siteproof.facts.edge import Edge, PublicAddress
from siteproof.facts.history import SETTLES_DAYS, History
from siteproof.facts.model import Absent, Family, HostsOf, Node, Outside, Router, Subjects, Unseen
from siteproof.facts.path import Link, Path, Transfer
from siteproof.facts.pulls import (
    Canary,
    ContainerdNode,
    DockerHost,
    Group,
    Mirrored,
    Puller,
    Pulls,
    Pushed,
    Pusher,
    Registry,
)
from siteproof.facts.site import FAMILIES, PREFIX, Case, Site, Waiver, read_site, site_wide
from siteproof.facts.swarm import Checkout, DeployCanary, Guard, LeakBudget, Manager, Overlay, Pin, Swarm, Window

__all__ = [
    "FAMILIES",
    "PREFIX",
    "SETTLES_DAYS",
    "Absent",
    "Asker",
    "Canary",
    "Case",
    "Client",
    "ContainerdNode",
    "DeployCanary",
    "Dns",
    "DockerHost",
    "Edge",
    "Family",
    "Fleet",
    "Group",
    "Checkout",
    "Guard",
    "History",
    "HostsOf",
    "LeakBudget",
    "Ingress",
    "Link",
    "Mirrored",
    "Manager",
    "Name",
    "Node",
    "Outside",
    "Overlay",
    "Path",
    "Pin",
    "PublicAddress",
    "Puller",
    "Pulls",
    "Pushed",
    "Pusher",
    "Registry",
    "Resolving",
    "Router",
    "Site",
    "Subjects",
    "Swarm",
    "Transfer",
    "Unseen",
    "View",
    "Waiver",
    "Window",
    "Zone",
    "read_site",
    "site_wide",
]
