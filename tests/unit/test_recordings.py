"""Every recording is read as its sidecar says."""

from __future__ import annotations

import pytest
import recorded
from recorded import Recording

from siteproof.errors import ProbeError

EVERY = recorded.every()


@pytest.mark.parametrize("recording", EVERY, ids=lambda r: r.name)
def test_recording_is_read_as_expected(recording: Recording) -> None:
    if recording.error is None:
        assert recording.read() == recording.answer
        return
    with pytest.raises(ProbeError) as raised:
        recording.read()
    assert raised.value.kind == recording.error


@pytest.mark.parametrize("recording", EVERY, ids=lambda r: r.name)
def test_recording_says_what_it_has_to(recording: Recording) -> None:
    assert recording.name.split("-")[0] == recording.tool
    assert (recording.expected is None) != (recording.error is None)


def test_every_output_has_its_sidecar() -> None:
    outputs = {path.with_suffix("") for path in recorded.DIRECTORY.glob("*/*.txt")}
    assert outputs == {recording.path.with_suffix("") for recording in EVERY}


WRITTEN_BY_OURSELVES = {"http_get"}
"""What the transport makes a record of; no tool prints it."""
OF_SEVERAL = {"edge_forwarding", "explained", "nf_tables_forwards", "program_addresses"}
"""What several tools are asked; each of them is recorded."""


def test_every_probe_is_recorded() -> None:
    asked = {recording.probe for recording in EVERY if recording.expected is not None}
    probes = {name for name, value in recorded.NAMES.items() if not name.startswith("_") and _is_probe(value)}
    assert probes - asked - WRITTEN_BY_OURSELVES - OF_SEVERAL == set()


def _is_probe(value: object) -> bool:
    returned = str(getattr(value, "__annotations__", {}).get("return"))
    return returned.startswith("Ask[") and str(getattr(value, "__module__", "")).startswith("siteproof.probes")
