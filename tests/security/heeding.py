"""For runs that are ended by signals: heeded also where whoever runs the tests heeds none (nohup, a background job)."""

from __future__ import annotations

import signal


def heeds_signals() -> None:
    """Popen's `preexec_fn`."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
