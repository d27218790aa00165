"""The images written straight into a storage directory are what the real docker-registry serves."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import topology
from lab.build import Built, built, registry

pytestmark = pytest.mark.lab
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

HOME = topology.load().wanted


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("registry")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


@pytest.fixture(scope="module")
def parts() -> Built:
    found = built(HOME)
    if found is None:
        pytest.skip("the lab is not built: python -m lab build")
    return found


@pytest.fixture(params=sorted(HOME.images))
def served(request: pytest.FixtureRequest, parts: Built, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The base's docker-registry on one of the storage directories, behind a UNIX socket."""
    path = tmp_path / "socket"
    config = {
        "version": 0.1,
        "storage": {
            "filesystem": {"rootdirectory": str(parts.assets / request.param)},
            "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}},
        },
        "http": {"net": "unix", "addr": str(path)},
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(
            [parts.base / "usr/bin/docker-registry", "serve", tmp_path / "config.yml"], stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 10
        while not path.exists() and time.monotonic() < until:
            assert daemon.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        yield request.param, path
    finally:
        daemon.terminate()
        daemon.wait(10)


def get(path: Path, url: str, accept: str = "*/*") -> tuple[int, dict[str, str], bytes]:
    connection = UnixConnection(path)
    try:
        connection.request("GET", url, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_every_image_is_served_with_all_its_blobs(served: tuple[str, Path]) -> None:
    storage, path = served
    for image in HOME.images[storage]:
        where = f"/v2/{image.repository}"
        status, headers, body = get(path, f"{where}/manifests/{image.tag}", MANIFEST)
        assert status == 200, body
        assert headers["content-type"] == MANIFEST
        assert headers["docker-content-digest"] == registry.digest(body)
        manifest = json.loads(body)
        for blob in (manifest["config"], *manifest["layers"]):
            status, _, content = get(path, f"{where}/blobs/{blob['digest']}")
            assert (status, registry.digest(content)) == (200, blob["digest"])


def test_a_tag_that_was_not_stored_is_unknown(served: tuple[str, Path]) -> None:
    storage, path = served
    status, _, body = get(path, f"/v2/{HOME.images[storage][0].repository}/manifests/other", MANIFEST)
    assert (status, json.loads(body)["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")
