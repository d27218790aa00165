"""Container images, written straight into docker-registry's storage directory.

The same inputs give the same bytes, so an image keeps its digest from one build of the lab to the next.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.build.wanted import Image

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_LONG_AGO = "2020-01-01T00:00:00Z"
APPLETS = ("sh", "cat", "echo", "env", "httpd", "ip", "ls", "nc", "nslookup", "ping", "sleep", "wget")


# What runs in the swarm without any registry.
LOADED = "busybox:lab"


def inputs(registries: Mapping[str, Sequence[Image]]) -> dict[str, object]:
    return {
        "applets": APPLETS,
        "loaded": ("docker archive", LOADED),
        "images": {storage: [[i.repository, i.tag, i.padding_bytes] for i in r] for storage, r in registries.items()},
        "types": (_MANIFEST, _CONFIG, _LAYER, _LONG_AGO),
    }


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def filler(seed: str, size: int) -> bytes:
    """Bytes that no compression shortens and that are the same every time."""
    return hashlib.shake_256(seed.encode()).digest(size)


def root_tar(busybox: bytes, extra: dict[str, bytes]) -> bytes:
    """A root filesystem as a tar archive: busybox under its applets' names, and some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for directory, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, "busybox", 0o777
            archive.addfile(entry)
        for name, content in {"bin/busybox": busybox, **extra}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name.startswith("bin/") else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def image_config(architecture: str, layer_tar: bytes) -> bytes:
    return _json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": _LONG_AGO,
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer_tar)]},
            "history": [{"created": _LONG_AGO, "created_by": "siteproof lab"}],
        }
    )


def image_manifest(config: bytes, layer: bytes) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": digest(layer)}],
        }
    )


def store(storage: Path, image: Image, architecture: str, busybox: bytes) -> None:
    """Write one image into a docker-registry storage directory."""
    name = f"{image.repository}:{image.tag}"
    extra = {"etc/image": f"{name}\n".encode()}
    if image.padding_bytes:
        extra["etc/padding"] = filler(name, image.padding_bytes)
    tar = root_tar(busybox, extra)
    layer = gzip.compress(tar, compresslevel=6, mtime=0)
    config = image_config(architecture, tar)
    manifest = image_manifest(config, layer)

    top = storage / "docker/registry/v2"
    repository = top / "repositories" / image.repository
    for blob in (layer, config, manifest):
        algorithm, _, value = digest(blob).partition(":")
        _write(top / "blobs" / algorithm / value[:2] / value / "data", blob)
    for blob in (layer, config):
        _link(repository / "_layers", blob)
    _link(repository / "_manifests/revisions", manifest)
    tag = repository / "_manifests/tags" / image.tag
    _link(tag / "index", manifest)
    _write(tag / "current/link", digest(manifest).encode())


def archive(name: str, architecture: str, layer_tar: bytes) -> bytes:
    """An image as `docker load` takes it, so that its id is the same on every host."""
    config = image_config(architecture, layer_tar)
    manifest = _json([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archived:
        for path, content in (("manifest.json", manifest), ("config.json", config), ("layer.tar", layer_tar)):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archived.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def fill(into: Path, registries: Mapping[str, Sequence[Image]], architecture: str, busybox: bytes) -> None:
    """The registries' storage directories, and the image that a swarm's nodes load."""
    for storage, images in registries.items():
        for image in images:
            store(into / storage, image, architecture, busybox)
    _write(into / "busybox.tar", archive(LOADED, architecture, root_tar(busybox, {})))


def _link(directory: Path, blob: bytes) -> None:
    _write(directory.joinpath(*digest(blob).split(":"), "link"), digest(blob).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
