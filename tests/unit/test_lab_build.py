"""The parts of the lab's build that decide something, without building anything."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from lab import topology
from lab.build import (
    OWN,
    BuildError,
    Built,
    Image,
    bases,
    binaries,
    build,
    built,
    cache,
    certificates,
    golang,
    machine,
    processes,
    registry,
    rootfs,
    wheels,
)
from lab.build.apt_sources import Source, debian_sources, is_debian, of_release, parse_deb822, parse_one_line
from lab.build.parts import Part, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HERE = machine.Machine("debian", "bookworm", "amd64")

HOME = topology.load().wanted


# --- what a part is made from


def test_a_name_is_the_same_whatever_the_order_of_the_inputs() -> None:
    assert cache.digest({"a": 1, "b": [2, 3]}) == cache.digest({"b": [2, 3], "a": 1})


def test_a_name_changes_with_any_input() -> None:
    first = rootfs.inputs(OWN, HERE)
    assert cache.digest(first) != cache.digest(rootfs.inputs(OWN, machine.Machine("debian", "trixie", "amd64")))
    assert cache.digest(first) != cache.digest({**first, "packages": [*bases.PACKAGES, "one-more"]})


def test_inputs_can_be_hashed() -> None:
    made_of = [rootfs.inputs(name, HERE) for name in bases.BASES]
    made_of += [golang.inputs(module, "amd64") for module in binaries.MODULES]
    made_of += [certificates.inputs(HOME), registry.inputs(HOME.images)]
    assert len({cache.digest(inputs) for inputs in made_of}) == len(made_of)


def test_nothing_is_built_in_an_empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITEPROOF_LAB_HOME", str(tmp_path / "home"))
    assert built(HOME) is None
    assert not (tmp_path / "home").exists()


def test_an_unfinished_part_does_not_count_and_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITEPROOF_LAB_HOME", str(tmp_path))
    left = cache.unfinished(cache.place("base", {"x": 1}))
    resumed = cache.unfinished(cache.place("bin", {"x": 1}))
    for directory in (left, resumed):
        (directory / "deep").mkdir(parents=True)
    cache.sweep(keep=[resumed])
    assert [p.name for p in tmp_path.iterdir()] == [resumed.name]
    cache.sweep()
    assert list(tmp_path.iterdir()) == []


def _pretend_made(places: Built) -> None:
    for directory in (*places.bases.values(), places.assets, *(program.parent for program in places.bin.values())):
        directory.mkdir(parents=True, exist_ok=True)


def test_what_another_site_wants_as_well_leaves_what_is_there_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITEPROOF_LAB_HOME", str(tmp_path))
    monkeypatch.setattr(machine, "this_machine", lambda: HERE)
    other = replace(HOME, bases=HOME.bases | {"trixie"}, programs=HOME.programs | {"dockerd", "docker-proxy"})
    made: list[str] = []

    def make(parts: list[Part], *_: object) -> None:
        made.extend(part.name for part in parts)

    monkeypatch.setattr("lab.build.parts.run", make)
    monkeypatch.setattr(machine, "missing_packages", list)
    monkeypatch.setattr(machine, "require_root", lambda _: None)
    monkeypatch.setattr(golang, "suitable", lambda _: "/usr/bin/go")
    monkeypatch.setattr(wheels, "can_be_brought", lambda: True)
    home = build(HOME, lambda _: None)
    assert sorted(made) == ["base", "certificates and keys", "crictl", "registry content", "traefik"]
    _pretend_made(home)
    assert built(HOME) == home

    made.clear()
    both = build(other, lambda _: None)
    assert sorted(made) == ["base trixie", "moby"]
    assert both.base == home.base
    assert both.bin.items() >= home.bin.items()
    assert built(other) is None
    _pretend_made(both)
    assert built(other) == both
    # Another certificate is another site's assets, and nothing else's.
    made.clear()
    build(replace(HOME, ssh_hosts=("one",)), lambda _: None)
    assert sorted(made) == ["certificates and keys", "registry content"]


def test_programs_of_one_module_are_in_one_place() -> None:
    found = binaries.places({"dockerd", "docker-proxy", "containerd", "traefik"}, "amd64")
    assert found["dockerd"].parent == found["docker-proxy"].parent
    assert len({program.parent for program in found.values()}) == 3
    assert found["dockerd"].name == "dockerd"


def test_a_misspelt_base_or_program_is_named_with_the_nearest() -> None:
    with pytest.raises(BuildError, match=r"no base trixy \(did you mean trixie\?\)"):
        built(replace(HOME, bases=frozenset({"trixy"})))
    with pytest.raises(BuildError, match=r"no program dokerd \(did you mean dockerd\?\)"):
        built(replace(HOME, programs=frozenset({"dokerd"})))
    with pytest.raises(BuildError, match="and these a base"):
        built(replace(HOME, bases=frozenset()))


# --- the bases


def test_a_base_has_the_shared_packages_but_for_what_its_release_lacks() -> None:
    assert bases.named(OWN).packages == bases.PACKAGES
    bullseye = bases.named("bullseye").packages
    assert {*bullseye} - {*bases.PACKAGES} == {"dnsmasq"}
    assert {"systemd-resolved", "docker.io"} <= {*bases.PACKAGES} - {*bullseye}
    for name, base in bases.BASES.items():
        assert len(set(base.packages)) == len(base.packages), name
        assert not base.release or base.release == name


@pytest.mark.parametrize("name", bases.BASES)
def test_the_scripts_that_end_a_base_are_shells(name: str) -> None:
    for script in (rootfs.FINISH, bases.named(name).finish):
        assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("merged", [True, False])
def test_what_is_there_is_switched_off_and_the_archives_day_is_kept(tmp_path: Path, merged: bool) -> None:
    """With and without /lib being a link, by a `chroot` that writes down what it is asked."""
    root = tmp_path / "root"
    for directory in ("etc/sudoers.d", "etc/ssl/certs", "etc/apt/sources.list.d", "var/lib/apt/lists", "usr/lib"):
        (root / directory).mkdir(parents=True)
    if merged:
        (root / "lib").symlink_to("usr/lib")
    (root / "lib/systemd/system").mkdir(parents=True)
    (root / "lib/systemd/system/nsd.service").touch()
    day = "Sat, 28 Nov 2026 20:13:07 UTC"
    (root / "var/lib/apt/lists/deb.example_debian_dists_sid_InRelease").write_text(f"Suite: unstable\nDate: {day}\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "chroot").write_text(f'#!/bin/sh\nshift\necho "$@" >>{tmp_path}/asked\n')
    (tools / "chroot").chmod(0o755)
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", rootfs.FINISH, "sh", root, "nsd.service", "haproxy.service"], env=path, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line for line in asked if line.startswith("systemctl")] == ["systemctl --quiet disable nsd.service"]
    assert (root / "etc/siteproof-base").read_text() == f"{day}\n"
    assert list((root / "var/lib/apt/lists").iterdir()) == []


def test_another_release_is_taken_from_the_same_archives() -> None:
    signed = (("signed-by", KEYRING),)
    own = [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib"), signed),
        Source("http://mirror.example/debian", "bookworm-updates", ("main",), signed),
        Source("http://mirror.example/debian-security", "bookworm-security", ("main",), signed),
    ]
    assert [s.line() for s in of_release(own, "trixie", ("", "-updates", "-security"))] == [
        f"deb [signed-by={KEYRING}] http://mirror.example/debian trixie main",
        f"deb [signed-by={KEYRING}] http://mirror.example/debian trixie-updates main",
        f"deb [signed-by={KEYRING}] http://mirror.example/debian-security trixie-security main",
    ]
    assert [(s.uri, s.suite) for s in of_release(own, "sid", ("",))] == [("http://mirror.example/debian", "sid")]
    by_age = [replace(own[0], suite="stable"), own[0]]
    assert [s.suite for s in of_release(by_age, "bullseye", ("",))] == ["bullseye"]


# --- the machine


def test_the_release_is_read_with_and_without_quotes(tmp_path: Path) -> None:
    said = tmp_path / "os-release"
    said.write_text('NAME="Debian GNU/Linux"\nID="debian"\nVERSION_CODENAME=bookworm\n')
    assert machine.this_machine(said).codename == "bookworm"
    machine.require_debian(HERE)


@pytest.mark.parametrize(
    "other", [machine.Machine("fedora", "", "amd64"), machine.Machine("debian", "bookworm", "riscv64")]
)
def test_another_machine_is_refused_in_one_sentence(other: machine.Machine) -> None:
    with pytest.raises(BuildError, match="this machine is (fedora|riscv64)$"):
        machine.require_debian(other)


def test_a_user_without_root_learns_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BuildError, match="needs root .*mmdebstrap"):
        machine.require_root(["mmdebstrap"])


# --- apt's sources


def test_one_line_sources_are_read_with_options_and_comments() -> None:
    text = f"""
# deb http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib  # a comment
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64,arm64 signed-by={KEYRING}] https://mirror.example/debian bookworm-updates main
"""
    assert list(parse_one_line(text)) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        Source(
            "https://mirror.example/debian",
            "bookworm-updates",
            ("main",),
            (("signed-by", KEYRING),),
            ("amd64", "arm64"),
        ),
    ]


def test_deb822_sources_are_read_with_comments_and_folded_fields() -> None:
    text = f"""# first
Types: deb deb-src
# a comment inside
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: {KEYRING}

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""
    found = list(parse_deb822(text))
    assert [(s.uri, s.suite) for s in found] == [
        ("http://one.example/debian", "bookworm"),
        ("http://one.example/debian", "bookworm-updates"),
        ("http://two.example/debian", "bookworm"),
        ("http://two.example/debian", "bookworm-updates"),
    ]
    assert found[0].line() == f"deb [signed-by={KEYRING}] http://one.example/debian bookworm main"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Source("http://mirror.example/debian", "bookworm", ("main",)), True),
        (Source("http://mirror.example/debian/", "bookworm-updates", ("contrib", "main")), True),
        (Source("http://mirror.example/debian-security", "bookworm-security", ("main",)), True),
        (Source("http://mirror.example/mirrors/d", "bookworm", ("main",), (("signed-by", KEYRING),)), True),
        (Source("http://mirror.example/debian", "stable", ("main",)), True),
        (Source("http://mirror.example/debian", "bookworm", ("contrib",)), False),
        (Source("http://mirror.example/debian", "bookworm-backports", ("main",)), False),
        (Source("http://mirror.example/debian", "trixie", ("main",)), False),
        (Source("http://mirror.example/debian", "bookworm", ("main",), (), ("armhf",)), False),
        (Source("http://other.example/apt", "bookworm", ("main",)), False),
        (Source("cdrom:[Debian", "12]/", ("bookworm", "main")), False),
        (Source("cdrom:/debian", "bookworm", ("main",)), False),
        (Source("http://other.example/linux/debian", "bookworm", ("stable",)), False),
        (Source("http://other.example/debian", "bookworm", ("main",), (("signed-by", "/etc/k/other.gpg"),)), False),
    ],
)
def test_only_debians_own_archive_is_taken(source: Source, expected: bool) -> None:
    assert is_debian(source, "bookworm", "amd64") is expected


def test_every_file_apt_reads_is_read_once(tmp_path: Path) -> None:
    listed = tmp_path / "sources.list.d"
    listed.mkdir()
    line = "deb http://mirror.example/debian bookworm main\n"
    (tmp_path / "sources.list").write_text(line)
    (listed / "again.list").write_text(line)
    (listed / "gone.list.disabled").write_text("deb http://gone.example/debian bookworm main\n")
    (listed / "debian.sources").write_text(
        "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n"
    )
    assert [s.uri for s in debian_sources("bookworm", "amd64", tmp_path)] == [
        "http://mirror.example/debian",
        "http://mirror.example/debian-security",
    ]


def test_how_to_reach_the_mirrors_is_kept_and_nothing_else() -> None:
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::https "";\nAcquire::Check-Valid-Until "false";\n'
        'APT::Install-Recommends "1";\nAcquire::IndexTargets "";\nDPkg::Post-Invoke:: "rm -f x";\n'
    )
    assert rootfs.reaching(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Valid-Until "false";\n'
    )


# --- the programs


def test_crictls_version_is_read_from_its_module() -> None:
    assert (
        golang.pinned_version("tool x\nrequire (\n\texample.org/y v1.2.3 // indirect\n)\n", "example.org/y") == "v1.2.3"
    )
    with pytest.raises(BuildError):
        golang.pinned_version("module x\n", "example.org/y")


def test_every_program_says_the_version_that_its_module_pins() -> None:
    said = {module.name: module.said for module in binaries.MODULES}
    assert said["crictl"].startswith("v1.")
    assert said["containerd"].startswith("v2.")
    assert said["moby"].startswith("29.")
    assert said["moby"].endswith(
        f"+moby.{golang.pinned_version(binaries.MODULES[-1].go_mod, 'github.com/moby/moby/v2')}"
    )


@pytest.mark.parametrize("module", binaries.MODULES, ids=lambda module: module.name)
def test_a_module_asks_for_its_programs_as_tools_and_for_no_newer_go_than_is_brought(module: golang.Module) -> None:
    for package in module.packages.values():
        assert f"\t{package}\n" in module.go_mod or f"tool {package}\n" in module.go_mod
    assert golang.asked_version(module.go_mod) <= golang.go_version(f"go{wheels.WHEELS[wheels.GO][0]}")


def test_the_machines_go_serves_only_if_it_is_new_enough_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    monkeypatch.setattr(golang, "find_tool", lambda _: str(go))
    for version, suits in (("1.25.0", ["crictl"]), ("1.26.3", ["crictl", "moby"]), ("1.27.0", None)):
        go.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
        go.chmod(0o755)
        found = [module.name for module in binaries.MODULES if golang.suitable([module])]
        assert found == (suits or [module.name for module in binaries.MODULES])
        assert (golang.suitable(binaries.MODULES) is None) is bool(suits)


def test_one_toolchain_is_brought_for_all_that_are_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SITEPROOF_LAB_HOME", str(tmp_path))
    monkeypatch.setattr(golang, "suitable", lambda _: None)
    places = binaries.places({"crictl", "containerd", "dockerd"}, "amd64")
    parts = binaries.parts(processes.Commands(tmp_path / "log"), places)
    assert [(part.name, part.after) for part in parts] == [
        ("go toolchain", ()),
        ("crictl", ("go toolchain",)),
        ("containerd", ("crictl",)),
        ("moby", ("containerd",)),
    ]
    assert binaries.kept(places) == [golang.scratch()]
    assert binaries.kept({}) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.25rc1 linux/amd64", (1, 25, 0)),
        ("go1.24.1", (1, 24, 1)),
        ("gccgo (Debian 12.2.0)", (0,)),
    ],
)
def test_gos_version_is_read(said: str, expected: tuple[int, ...]) -> None:
    assert golang.go_version(said) == expected


# --- images


def test_an_image_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    image = Image("a/b", "1", 1000)
    for where in ("one", "two"):
        registry.store(tmp_path / where, image, "amd64", b"busybox")
    one, two = (
        {p.relative_to(tmp_path / w): p.read_bytes() for p in (tmp_path / w).rglob("*") if p.is_file()}
        for w in ("one", "two")
    )
    assert one == two


def test_a_stored_image_can_be_followed_from_its_tag_to_its_files(tmp_path: Path) -> None:
    registry.store(tmp_path, Image("a/b", "1", 1000), "arm64", b"the busybox")
    top = tmp_path / "docker/registry/v2"

    def blob(digest: str) -> bytes:
        algorithm, _, value = digest.partition(":")
        content = (top / "blobs" / algorithm / value[:2] / value / "data").read_bytes()
        assert hashlib.new(algorithm, content).hexdigest() == value
        return content

    repository = top / "repositories/a/b"
    current = (repository / "_manifests/tags/1/current/link").read_text()
    assert (repository / "_manifests/revisions" / current.replace(":", "/") / "link").read_text() == current
    manifest = json.loads(blob(current))
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    config, (layer,) = manifest["config"], manifest["layers"]
    for part in (config, layer):
        assert len(blob(part["digest"])) == part["size"]
        assert (repository / "_layers" / part["digest"].replace(":", "/") / "link").read_text() == part["digest"]
    tar = gzip.decompress(blob(layer["digest"]))
    described = json.loads(blob(config["digest"]))
    assert described["architecture"] == "arm64"
    assert described["rootfs"]["diff_ids"] == [registry.digest(tar)]
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        busybox = archive.extractfile("bin/busybox")
        assert busybox is not None
        assert busybox.read() == b"the busybox"
        assert archive.getmember("bin/sh").linkname == "busybox"
        assert archive.getmember("etc/padding").size == 1000


def test_the_probe_image_is_used_by_nothing_else() -> None:
    names = [f"{i.repository}:{i.tag}" for images in HOME.images.values() for i in images]
    assert names.count("siteproof/probe:1") == 1
    assert len(names) == len(set(names))


# --- running things


def test_the_line_a_person_would_read_out_is_found() -> None:
    assert processes.telling_line("I: go\nE: no such package x\nI: cleaning up\n") == "E: no such package x"
    assert processes.telling_line("one\ntwo\n") == "two"
    assert processes.telling_line("\n") == "it printed nothing"


def test_parts_wait_for_what_they_come_after(tmp_path: Path) -> None:
    made: list[str] = []
    run(
        [
            Part("last", lambda: made.append("last"), after=("first", "was there already")),
            Part("first", lambda: made.append("first")),
        ],
        processes.Commands(tmp_path),
        lambda _: None,
    )
    assert made == ["first", "last"]


def test_the_first_failure_is_told_and_nothing_after_it_begins(tmp_path: Path) -> None:
    def fail() -> None:
        raise BuildError("no")

    made: list[str] = []
    with pytest.raises(BuildError, match="no"):
        run(
            [Part("bad", fail), Part("next", lambda: made.append("next"), after=("bad",))],
            processes.Commands(tmp_path),
            lambda _: None,
        )
    assert made == []


def test_the_length_of_a_chain_is_that_of_its_certificates() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\nAAAA\n-----END CERTIFICATE-----\n"
    assert certificates.der_bytes(pem * 2) == 12
