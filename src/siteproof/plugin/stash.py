"""Where pytest's own objects carry what is ours."""

from __future__ import annotations

import pytest

from siteproof.judging.judge import Judgement
from siteproof.judging.plan import Planned
from siteproof.judging.suite import Suite

SUITE = pytest.StashKey[Suite]()
"""Of the config, once the run is open; absent where no `--hosts` was said."""
PLANNED = pytest.StashKey[Planned]()
"""Of each item."""
JUDGED = pytest.StashKey[Judgement]()
"""Of an item from its call until its teardown has been reported."""
