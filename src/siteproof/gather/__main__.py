"""`python -m siteproof.gather SOCKET`, with a Spec on stdin."""

import sys
from pathlib import Path

from siteproof.gather.serve import serve

serve(Path(sys.argv[1]))
