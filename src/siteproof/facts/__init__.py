"""What must be true of the site, as its inventory declares it.

One variable `siteproof_<family>` per family, one file here per subject, which is found by being here. A family's model
says what may stand in it; its `subjects` say over what the family's checks are parametrized. Checks import both from
the family's own module. No expected value stands in Python.
"""

from siteproof.facts.history import SETTLES_DAYS, History
from siteproof.facts.model import Absent, Family, HostsOf, Node, Outside, Router, Subjects, Unseen
from siteproof.facts.site import FAMILIES, PREFIX, Case, Site, Waiver, read_site, site_wide

__all__ = [
    "FAMILIES",
    "PREFIX",
    "SETTLES_DAYS",
    "Absent",
    "Case",
    "Family",
    "History",
    "HostsOf",
    "Node",
    "Outside",
    "Router",
    "Site",
    "Subjects",
    "Unseen",
    "Waiver",
    "read_site",
    "site_wide",
]
