"""A repository's owner runs nothing through us, hides nothing from us, and gets no rights that they do not have.

The real script, by a real shell, with real git, on repositories that do what they can.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from siteproof.asks import Command, Output, Recorded, Single
from siteproof.errors import NoControl, PrivilegeRefused, ProbeError, ToolFailed, Unparseable
from siteproof.gather.base import new_nonce
from siteproof.probes.files.git import Repository, repository
from siteproof.transport.batch import Frames, RunContext, script

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can become another user")
OWNER, OTHER = (1234, 1235) if ROOT else (os.geteuid(), -1)
"""Users without a name, of whom nothing else is on this machine."""
AUTHOR = ("A B", "a@example.org")
TOKEN = f"token: ghp_{7:036d}\n"
GIT = {
    **{name: value for name, value in os.environ.items() if name != "GIT_CONFIG_GLOBAL"},
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": str(Path(__file__).parent / "git_home"),
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}


def git(where: Path, *words: str, stdin: str = "", author: tuple[str, str] = AUTHOR) -> str:
    told = [f"user.name={author[0]}", f"user.email={author[1]}", "protocol.file.allow=always"]
    options = [word for setting in told for word in ("-c", setting)]
    return subprocess.run(
        ["git", *options, *words], cwd=where, env=GIT, input=stdin, capture_output=True, text=True, check=True
    ).stdout.strip()


@dataclass(frozen=True)
class Place:
    """A directory that everybody may enter, with a repository; and what a program leaves behind where it ran."""

    top: Path

    @property
    def repository(self) -> Path:
        return self.top / "infra"

    @property
    def dot_git(self) -> Path:
        return self.repository / ".git"

    @property
    def marker(self) -> Path:
        return self.top / "marks" / "it ran"

    @property
    def program(self) -> Path:
        return self.top / "program"

    @property
    def elsewhere(self) -> Path:
        return self.top / "elsewhere"

    def commit(self, files: dict[str, str | bytes]) -> str:
        for name, content in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        git(self.repository, "add", "--all", "--force")
        git(self.repository, "commit", "--quiet", "--allow-empty", "--message", "m")
        return git(self.repository, "rev-parse", "HEAD")

    def set(self, **settings: str | Path) -> None:
        """Git settings; two underscores for a dot."""
        for name, value in settings.items():
            git(self.repository, "config", name.replace("__", "."), str(value))

    def lose(self, name: str) -> None:
        """The blob of a file, as a partial clone has not got it."""
        blob = git(self.repository, "rev-parse", f"HEAD:{name}")
        (self.dot_git / "objects" / blob[:2] / blob[2:]).unlink()

    def belongs_to(self, user: int, *paths: Path) -> None:
        if ROOT:
            for path in paths or (self.repository,):
                subprocess.run(["chown", "-hR", f"{user}:{user}", str(path)], check=True)


@pytest.fixture
def place() -> Iterator[Place]:
    top = Path(tempfile.mkdtemp(prefix="siteproof_test_", dir="/tmp"))
    try:
        top.chmod(0o755)
        found = Place(top)
        found.marker.parent.mkdir()
        found.marker.parent.chmod(0o1777)
        found.program.write_text(f"#!/bin/sh\nid >>'{found.marker}'\nexit 1\n")
        found.program.chmod(0o755)
        found.elsewhere.mkdir()
        found.repository.mkdir()
        git(found.repository, "init", "--quiet", "--initial-branch", "main")
        found.commit({"web.yml": "image: busybox\n", "token.yml": TOKEN})
        yield found
    finally:
        shutil.rmtree(top)


LIMIT = "ulimit -v 1048576"


def ask(
    path: Path,
    *,
    user: int = 0,
    variables: dict[str, str] | None = None,
    deadline_s: float | None = None,
    limit: str = LIMIT,
) -> Repository:
    """What the probe makes of it, asked by the login user `user`, in the frame of a real batch."""
    asked = repository("host", str(path))
    assert isinstance(asked, Single) and isinstance(asked.question, Command)
    assert asked.question.script.count(LIMIT) == 1
    limited = asked.question.script.replace(LIMIT, limit)
    question = replace(asked.question, deadline_s=deadline_s or asked.question.deadline_s, script=limited)
    become = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"] if ROOT and user else []
    nonce = new_nonce()
    ended = subprocess.run(
        [*become, "sh", "-s"],
        input=script([question], nonce=nonce, run=RunContext(new_nonce()), sudo="sudo -n"),
        env={"PATH": os.environ["PATH"], **(variables or {})},
        capture_output=True,
        check=False,
        timeout=60,
    )
    frames = Frames(nonce, 4 << 20)
    (answer,) = [*frames.stdout(ended.stdout), *frames.stderr(ended.stderr)]
    output = Output(answer.status, answer.stdout or b"", answer.stderr or b"", 0.0, 0.0)

    def recorded(_: object) -> Recorded:
        return output

    seen = asked.read(recorded)
    assert isinstance(seen, Repository)
    return seen


ASKED = [
    pytest.param((0, OWNER), id="root, of another's", marks=needs_root),
    pytest.param((OWNER, OWNER), id="its owner"),
]
"""Who asks, and of whose."""
ROOTS = [
    pytest.param((OTHER, 0), id="a user, of root's", marks=needs_root),
    pytest.param((0, 0), id="root, of root's", marks=needs_root),
]

Plant = Callable[[Place], None]
PLANTED: dict[str, Plant] = {}
LAZY: dict[str, Plant] = {}
"""Those that also have a blob missing, which git would fetch."""


def planted(plant: Plant) -> Plant:
    PLANTED[plant.__name__] = plant
    return plant


def lazy(plant: Plant) -> Plant:
    LAZY[plant.__name__] = plant
    return plant


def promise(place: Place, url: str) -> None:
    place.set(core__repositoryFormatVersion="1", extensions__partialClone="origin", remote__origin__url=url)
    place.set(remote__origin__promisor="true", remote__origin__partialCloneFilter="blob:none")


@lazy
def ssh_command(place: Place) -> None:
    promise(place, "ssh://nowhere.invalid/infra")
    place.set(core__sshCommand=place.program)


@lazy
def upload_pack(place: Place) -> None:
    promise(place, str(place.repository))
    place.set(remote__origin__uploadPack=place.program)


@lazy
def upload_pack_of_included_settings(place: Place) -> None:
    promise(place, str(place.repository))
    (place.elsewhere / "settings").write_text(f'[remote "origin"]\nuploadPack = {place.program}\n')
    place.set(include__path=place.elsewhere / "settings")


@lazy
def upload_pack_of_settings_for_a_path(place: Place) -> None:
    promise(place, str(place.repository))
    (place.elsewhere / "settings").write_text(f'[remote "origin"]\nuploadPack = {place.program}\n')
    git(place.repository, "config", f"includeIf.gitdir:{place.top}/.path", str(place.elsewhere / "settings"))


@lazy
def upload_pack_of_settings_for_a_worktree(place: Place) -> None:
    promise(place, str(place.repository))
    place.set(extensions__worktreeConfig="true")
    git(place.repository, "config", "--worktree", "remote.origin.uploadPack", str(place.program))


@lazy
def external_remote(place: Place) -> None:
    promise(place, f"ext::{place.program}")
    place.set(protocol__ext__allow="always")


@lazy
def another_url_instead(place: Place) -> None:
    promise(place, "https://nowhere.invalid/infra")
    git(place.repository, "config", f"url.ext::{place.program} .insteadOf", "https://")
    place.set(protocol__ext__allow="always")


@lazy
def git_proxy(place: Place) -> None:
    promise(place, "git://nowhere.invalid/infra")
    place.set(core__gitProxy=place.program)


@lazy
def askpass_and_credentials(place: Place) -> None:
    promise(place, "http://user@127.0.0.1:9/infra")
    place.set(core__askPass=place.program, credential__helper=f"!{place.program}", http__emptyAuth="false")


@planted
def nothing(place: Place) -> None:
    """The answer of all the others, but that these do something."""


@planted
def file_system_monitor(place: Place) -> None:
    place.set(core__fsmonitor=place.program, core__untrackedCache="true", core__fsmonitorHookVersion="2")


@planted
def hooks(place: Place) -> None:
    hooks = [
        "post-index-change",
        "reference-transaction",
        "fsmonitor-watchman",
        "post-checkout",
        "pre-auto-gc",
        "update",
    ]
    for name in hooks:
        shutil.copy(place.program, place.dot_git / "hooks" / name)


@planted
def hooks_elsewhere(place: Place) -> None:
    for name in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        shutil.copy(place.program, place.elsewhere / name)
    place.set(core__hooksPath=place.elsewhere)


@planted
def pagers(place: Place) -> None:
    place.set(core__pager=place.program, pager__grep=place.program, pager__log=place.program)


@planted
def aliases(place: Place) -> None:
    for name in ("log", "grep", "rev-list", "ls-tree", "rev-parse", "cat-file"):
        git(place.repository, "config", f"alias.{name}", f"!{place.program}")


@planted
def text_conversion(place: Place) -> None:
    (place.dot_git / "info/attributes").write_text("* diff=hidden\n")
    place.set(diff__hidden__textconv=place.program, diff__hidden__command=place.program, diff__hidden__binary="true")


@planted
def filters(place: Place) -> None:
    (place.dot_git / "info/attributes").write_text("* filter=hidden\n")
    for kind in ("smudge", "clean", "process"):
        git(place.repository, "config", f"filter.hidden.{kind}", str(place.program))
    place.set(filter__hidden__required="true")


@planted
def external_diff(place: Place) -> None:
    place.set(diff__external=place.program, log__diffMerges="on")


@planted
def signatures(place: Place) -> None:
    head = git(place.repository, "cat-file", "commit", "HEAD")
    fields, _, message = head.partition("\n\n")
    signed = f"{fields}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----\n\n{message}\n"
    commit = git(place.repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=signed)
    git(place.repository, "update-ref", "refs/heads/main", commit)
    place.set(log__showSignature="true", gpg__program=place.program, gpg__ssh__program=place.program)


@planted
def editors(place: Place) -> None:
    place.set(core__editor=place.program, sequence__editor=place.program, core__alternateRefsCommand=place.program)


@planted
def packing(place: Place) -> None:
    place.set(uploadpack__packObjectsHook=place.program, gc__auto="1", maintenance__auto="true")


@planted
def working_tree_elsewhere(place: Place) -> None:
    place.set(core__worktree=place.elsewhere)
    (place.elsewhere / ".gitattributes").write_text("* binary\n")


@planted
def attributes_that_hide(place: Place) -> None:
    (place.dot_git / "info/attributes").write_text("* binary -diff -text\n")
    (place.repository / ".gitattributes").write_text("* binary -diff -text\n")
    (place.elsewhere / "attributes").write_text("* binary -diff -text\n")
    place.set(core__attributesFile=place.elsewhere / "attributes", attr__tree="HEAD", core__bigFileThreshold="1")


@planted
def settings_of_grep(place: Place) -> None:
    place.set(grep__patternType="fixed", grep__extendedRegexp="false", grep__fullName="false", grep__column="true")
    place.set(grep__lineNumber="true", grep__fallbackToNoIndex="true", grep__threads="1", submodule__recurse="true")


@planted
def settings_of_what_is_shown(place: Place) -> None:
    place.set(color__ui="always", color__grep="always", core__quotePath="false", i18n__logOutputEncoding="UTF-16")
    place.set(format__pretty="oneline", log__decorate="full", log__follow="true", log__date="raw", core__abbrev="4")
    place.set(blame__ignoreRevsFile=place.program, mailmap__blob="HEAD:.mailmap", log__mailmap="true")


@planted
def other_names(place: Place) -> None:
    names = place.elsewhere / "mailmap"
    names.write_text("autonomic-bot <bot@home.example> <a@example.org>\n")
    (place.repository / ".mailmap").write_text(names.read_text())
    place.set(mailmap__file=names, log__mailmap="true")


@planted
def replacements(place: Place) -> None:
    clean = git(place.repository, "hash-object", "-w", "--stdin", stdin="nothing\n")
    git(place.repository, "replace", git(place.repository, "rev-parse", "HEAD:token.yml"), clean)
    other = git(place.repository, "commit-tree", "HEAD^{tree}", "-m", "m", author=("autonomic-bot", "bot@home.example"))
    git(place.repository, "replace", "HEAD", other)


@planted
def grafts(place: Place) -> None:
    other = git(place.repository, "commit-tree", "HEAD^{tree}", "-m", "m", author=("somebody", "else@example.org"))
    (place.dot_git / "info/grafts").write_text(f"{git(place.repository, 'rev-parse', 'HEAD')} {other}\n")


@planted
def settings_that_git_does_not_know(place: Place) -> None:
    place.set(core__repositoryFormatVersion="1", extensions__another="true")


@planted
def settings_that_cannot_be_read(place: Place) -> None:
    (place.dot_git / "config").write_text("[core\n")


@planted
def traces(place: Place) -> None:
    for kind in ("normalTarget", "eventTarget", "perfTarget"):
        git(place.repository, "config", f"trace2.{kind}", str(place.marker))


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_repository_runs_nothing_and_hides_nothing(place: Place, plant: Plant, asked: tuple[int, int]) -> None:
    plant(place)
    user, owner = asked
    place.belongs_to(owner)
    seen = ask(place.repository, user=user)
    assert [(c.author, c.email) for c in seen.commits] == [AUTHOR]
    assert (seen.files, seen.secrets) == (2, ("token.yml",))
    assert not place.marker.exists()


@pytest.mark.parametrize("asked", [*ASKED, *ROOTS])
@pytest.mark.parametrize("plant", LAZY.values(), ids=LAZY)
def test_what_is_missing_is_not_fetched_and_not_no_secret(place: Place, plant: Plant, asked: tuple[int, int]) -> None:
    place.lose("token.yml")
    plant(place)
    user, owner = asked
    place.belongs_to(owner)
    try:
        outcome: Repository | ProbeError = ask(place.repository, user=user)
    except ProbeError as error:
        outcome = error
    assert not place.marker.exists()
    assert isinstance(outcome, NoControl | Unparseable | ToolFailed)


@pytest.mark.parametrize("asked", ROOTS)
def test_what_belongs_to_root_is_read_by_those_who_can(place: Place, asked: tuple[int, int]) -> None:
    file_system_monitor(place)
    place.belongs_to(0)
    assert ask(place.repository, user=asked[0]).secrets == ("token.yml",)
    assert not place.marker.exists()


def test_a_real_partial_clone_is_not_completed(place: Place) -> None:
    place.set(uploadpack__allowFilter="true")
    clone = place.elsewhere / "clone"
    git(
        place.elsewhere,
        "clone",
        "--quiet",
        "--no-checkout",
        "--filter=blob:none",
        f"file://{place.repository}",
        "clone",
    )
    git(clone, "config", "remote.origin.uploadpack", str(place.program))
    place.belongs_to(OWNER)
    place.belongs_to(OWNER, clone)
    with pytest.raises((NoControl, Unparseable)):
        ask(clone, user=0 if ROOT else OWNER)
    assert not place.marker.exists()


# Rights

WATCH = """\
#!/bin/sh
{
    awk '/^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|NoNewPrivs):/ { $1 = $1; print }' /proc/self/status
    awk '{ print "Terminal: " $7 }' /proc/self/stat
    env | sed 's/^\\([^=]*\\)=.*/given \\1/'
} >>'%s'
exec %s "$@"
"""
NO_RIGHTS = {f"Cap{which}: {0:016d}" for which in ("Inh", "Prm", "Eff")}


def watched(place: Place, *hidden: str) -> dict[str, str]:
    """A PATH with a git that tells what rights it was run with; `hidden` are tools that do not work."""
    tools = place.top / "tools"
    tools.mkdir()
    (tools / "git").write_text(WATCH % (place.marker, shutil.which("git")))
    for name in hidden:
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
    for file in tools.iterdir():
        file.chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}"}


@needs_root
def test_git_has_the_rights_of_the_owner_and_no_more(place: Place) -> None:
    place.belongs_to(OWNER)
    variables = watched(place) | {"SSH_AUTH_SOCK": "/run/agent", "TOKEN": "x", "GIT_DIR": "/etc"}
    assert ask(place.repository, variables=variables).secrets == ("token.yml",)
    told = set(place.marker.read_text().splitlines())
    nobodys = " ".join(["65534"] * 4)
    rights = {f"Uid: {' '.join([str(OWNER)] * 4)}", f"Gid: {nobodys}", "Groups:", "NoNewPrivs: 1", "Terminal: 0"}
    given = {line for line in told if line.startswith("given ") and not line.startswith("given GIT_")}
    assert {line for line in told if not line.startswith("given ")} == rights | NO_RIGHTS
    assert given <= {"given PATH", "given LC_ALL", "given HOME", "given PWD"}


@needs_root
def test_without_setpriv_su_makes_us_the_owner(place: Place) -> None:
    user = pwd.getpwnam("games")
    place.belongs_to(user.pw_uid)
    assert ask(place.repository, variables=watched(place, "setpriv")).secrets == ("token.yml",)
    told = set(place.marker.read_text().splitlines())
    assert {f"Uid: {' '.join([str(user.pw_uid)] * 4)}", "Terminal: 0", *NO_RIGHTS} <= told
    assert f"Gid: {' '.join([str(user.pw_gid)] * 4)}" in told


@needs_root
def test_an_owner_without_a_name_and_no_setpriv_is_refused(place: Place) -> None:
    place.belongs_to(OWNER)
    with pytest.raises(PrivilegeRefused, match=f"user {OWNER}, who has no name"):
        ask(place.repository, variables=watched(place, "setpriv"))
    assert not place.marker.exists()


@needs_root
def test_anothers_repository_is_refused_where_we_cannot_be_them(place: Place) -> None:
    place.belongs_to(OWNER)
    with pytest.raises(PrivilegeRefused, match=f"belongs to user {OWNER}, and the login user is {OTHER}"):
        ask(place.repository, user=OTHER, variables=watched(place))
    assert not place.marker.exists()


def _another_config_directory(place: Place) -> None:
    """A worktree whose .git leads into a directory of another."""
    shutil.move(place.dot_git, place.elsewhere / "git")
    place.dot_git.write_text(f"gitdir: {place.elsewhere}/git\n")
    place.belongs_to(OWNER)
    place.belongs_to(OTHER, place.elsewhere / "git")


def _a_directory_that_leads_elsewhere(place: Place) -> None:
    shutil.move(place.dot_git, place.elsewhere / "git")
    place.dot_git.symlink_to(place.elsewhere / "git")
    place.belongs_to(OWNER)
    place.belongs_to(OTHER, place.elsewhere / "git")


def _in_a_directory_of_another(place: Place) -> None:
    """Who owns the directory above may exchange what is in it."""
    shutil.move(place.dot_git, place.elsewhere / "git")
    place.dot_git.write_text(f"gitdir: {place.elsewhere}/git\n")
    place.belongs_to(OWNER)
    place.belongs_to(OWNER, place.elsewhere)
    os.chown(place.elsewhere, OTHER, OTHER)


def _another_common_directory(place: Place) -> None:
    shutil.copytree(place.dot_git, place.elsewhere / "git")
    (place.dot_git / "commondir").write_text(f"{place.elsewhere}/git\n")
    place.belongs_to(OWNER)
    place.belongs_to(OTHER, place.elsewhere / "git")


def _borrowed_objects(place: Place) -> None:
    shutil.move(place.dot_git / "objects", place.elsewhere / "objects")
    (place.dot_git / "objects/info").mkdir(parents=True)
    (place.dot_git / "objects/info/alternates").write_text(f"{place.elsewhere}/objects\n")
    place.belongs_to(OWNER)
    place.belongs_to(OTHER, place.elsewhere / "objects")


def _objects_of_another(place: Place) -> None:
    place.belongs_to(OWNER)
    place.belongs_to(OTHER, place.dot_git / "objects")


def _a_head_of_another(place: Place) -> None:
    place.belongs_to(OWNER)
    place.belongs_to(OTHER, place.dot_git / "HEAD")


def _a_branch_of_another(place: Place) -> None:
    place.belongs_to(OWNER)
    place.belongs_to(OTHER, place.dot_git / "refs/heads/main")


LED = [
    _another_config_directory, _a_directory_that_leads_elsewhere, _in_a_directory_of_another, _another_common_directory,
    _borrowed_objects, _objects_of_another, _a_head_of_another, _a_branch_of_another,
]  # fmt: skip


@needs_root
@pytest.mark.parametrize("lead", LED, ids=lambda lead: lead.__name__.strip("_"))
def test_what_leads_to_the_objects_is_the_owners(place: Place, lead: Plant) -> None:
    lead(place)
    with pytest.raises(ToolFailed, match=f"belongs to user {OTHER}, and the repository to user {OWNER}"):
        ask(place.repository)


@needs_root
@pytest.mark.parametrize("owner", [0, OWNER])
@pytest.mark.parametrize("to_a_link", [False, True])
def test_nobody_else_decides_by_a_link_whose_repository_is_shown(place: Place, owner: int, to_a_link: bool) -> None:
    place.belongs_to(owner)
    declared = place.elsewhere / "checkout"
    declared.symlink_to(place.repository)
    os.chown(declared, OTHER, OTHER, follow_symlinks=False)
    if to_a_link:
        declared = place.top / "checkout"
        declared.symlink_to("elsewhere/checkout")
    with pytest.raises(
        PrivilegeRefused, match=f"is a link of user {OTHER}, and the repository belongs to user {owner}"
    ):
        ask(declared)
    (place.elsewhere / "checkout").unlink()
    (place.elsewhere / "checkout").symlink_to("../infra")
    assert ask(declared).secrets == ("token.yml",)


@pytest.mark.parametrize("name", [".git/objects/info/alternates", ".git/HEAD", ".git/commondir", ".git/shallow"])
def test_a_file_that_is_a_link_is_not_read_and_its_lines_are_not_told(place: Place, name: str) -> None:
    """Who may write to a part of a repository of root's could have any file of root's shown."""
    told = place.elsewhere / "shadow"
    told.write_text("root:*:20782:0:99999:7:::\n")
    told.chmod(0o600)
    (place.repository / name).unlink(missing_ok=True)
    (place.repository / name).parent.mkdir(parents=True, exist_ok=True)
    (place.repository / name).symlink_to(told)
    with pytest.raises(ToolFailed, match="is a link, which is not followed") as caught:
        ask(place.repository)
    assert "20782" not in str(caught.value)


def test_a_line_that_leads_nowhere_is_not_told(place: Place) -> None:
    (place.dot_git / "objects/info").mkdir(parents=True, exist_ok=True)
    (place.dot_git / "objects/info/alternates").write_text("root:*:20782:0:99999:7:::\n")
    with pytest.raises(ToolFailed, match="no directory that can be entered") as caught:
        ask(place.repository)
    assert "20782" not in str(caught.value)


def test_a_group_may_write_to_the_way(place: Place) -> None:
    place.top.chmod(0o775)
    place.repository.chmod(0o2775)
    assert ask(place.repository).secrets == ("token.yml",)


@pytest.mark.parametrize("name", ["", ".git", ".git/objects", ".git/HEAD", ".git/refs/heads/main"])
def test_nobody_else_may_change_what_leads_to_the_objects(place: Place, name: str) -> None:
    place.belongs_to(OWNER)
    path = place.repository / name
    path.chmod(path.stat().st_mode | 0o002)
    with pytest.raises(ToolFailed, match="everybody may write to"):
        ask(place.repository, user=0 if ROOT else OWNER)


# What a repository may look like


def test_worktrees_and_clones_that_borrow_are_read(place: Place) -> None:
    git(place.repository, "worktree", "add", "--quiet", "-b", "side", str(place.elsewhere / "tree"))
    git(place.elsewhere, "clone", "--quiet", "--shared", str(place.repository), "borrower")
    place.belongs_to(OWNER)
    place.belongs_to(OWNER, place.elsewhere)
    for path in (place.elsewhere / "tree", place.elsewhere / "borrower"):
        assert ask(path, user=0 if ROOT else OWNER).secrets == ("token.yml",)


def test_bare_packed_and_detached_repositories_are_read(place: Place) -> None:
    git(place.elsewhere, "clone", "--quiet", "--bare", str(place.repository), "bare.git")
    git(place.elsewhere / "bare.git", "gc", "--quiet")
    git(place.repository, "checkout", "--quiet", "--detach")
    place.belongs_to(OWNER)
    place.belongs_to(OWNER, place.elsewhere)
    for path in (place.elsewhere / "bare.git", place.repository):
        assert ask(path, user=0 if ROOT else OWNER).secrets == ("token.yml",)


def test_a_repository_with_sha256_is_read(place: Place) -> None:
    shutil.rmtree(place.dot_git)
    git(place.repository, "init", "--quiet", "--initial-branch", "main", "--object-format", "sha256")
    place.commit({})
    place.belongs_to(OWNER)
    seen = ask(place.repository, user=0 if ROOT else OWNER)
    assert (len(seen.commits[0].id), seen.files, seen.secrets) == (64, 2, ("token.yml",))


def test_what_was_not_looked_into_is_counted(place: Place) -> None:
    (place.repository / "link").symlink_to("web.yml")
    git(place.repository, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    (place.repository / "module").mkdir()
    git(place.repository, "add", "link")
    git(place.repository, "commit", "--quiet", "--message", "m")
    git(place.elsewhere, "clone", "--quiet", "--depth", "1", f"file://{place.repository}", "shallow")
    place.belongs_to(OWNER, place.elsewhere)
    seen = ask(place.elsewhere / "shallow", user=0 if ROOT else OWNER)
    assert (seen.files, seen.links, seen.submodules, seen.shallow, len(seen.commits)) == (2, 1, 1, True, 1)


def test_a_secret_in_a_binary_file_is_found_and_utf_16_is_counted(place: Place) -> None:
    place.commit({"state.bin": b"\0\1\2" + TOKEN.encode() + b"\0", "windows.txt": TOKEN.encode("utf-16")})
    place.belongs_to(OWNER)
    seen = ask(place.repository, user=0 if ROOT else OWNER)
    assert (seen.secrets, seen.files, seen.binary) == (("state.bin", "token.yml"), 4, 2)


@pytest.mark.parametrize("damage", ["corrupt", "unreadable", "no tree"])
def test_what_git_could_not_read_is_unknown(place: Place, damage: str) -> None:
    blob = git(place.repository, "rev-parse", "HEAD:" if damage == "no tree" else "HEAD:token.yml")
    file = place.dot_git / "objects" / blob[:2] / blob[2:]
    place.belongs_to(OWNER)
    file.chmod(0o600)
    if damage == "corrupt":
        file.write_bytes(file.read_bytes()[:-12] + b"\xff" * 12)
    elif damage == "unreadable":
        file.chmod(0)
    else:
        file.unlink()
    with pytest.raises(ProbeError):
        ask(place.repository, user=0 if ROOT else OWNER)


def left_by(user: int) -> list[Path]:
    """Others may be asking at this moment; nobody else does as this user."""
    found = []
    for path in Path("/tmp").glob("siteproof_git.*"):
        with contextlib.suppress(FileNotFoundError):
            found += [path] if path.lstat().st_uid == user else []
    return found


@needs_root
def test_at_the_deadline_nothing_stays_behind(place: Place) -> None:
    """A hundred million names by nine trees."""
    owner = 100_000 + os.getpid()
    tree = git(place.repository, "rev-parse", "HEAD^{tree}")
    for _ in range(8):
        listed = "".join(f"040000 tree {tree}\t{number}\n" for number in range(10))
        tree = git(place.repository, "mktree", stdin=listed)
    git(place.repository, "update-ref", "refs/heads/main", git(place.repository, "commit-tree", tree, "-m", "m"))
    place.belongs_to(owner)
    with pytest.raises(ToolFailed, match="ended with status (124|137|143)"):
        ask(place.repository, deadline_s=1)
    assert left_by(owner) == []


def test_more_names_than_anybody_could_take_are_unknown(place: Place) -> None:
    """A tree that names another ten times, which does the same."""
    tree = git(place.repository, "rev-parse", "HEAD^{tree}")
    for _ in range(4):
        listed = "".join(f"040000 tree {tree}\t{'n' * 150}{number}\n" for number in range(10))
        tree = git(place.repository, "mktree", stdin=listed)
    git(place.repository, "update-ref", "refs/heads/main", git(place.repository, "commit-tree", tree, "-m", "m"))
    place.belongs_to(OWNER)
    with pytest.raises(ToolFailed, match="names of files with secrets are more than 2 MB"):
        ask(place.repository, user=0 if ROOT else OWNER)


def test_a_file_that_takes_more_memory_than_there_is_for_it_is_unknown(place: Place) -> None:
    """Zeros, which take nearly nothing where they lie. So few are read with the limit that there is."""
    user = 0 if ROOT else OWNER
    place.belongs_to(OWNER)
    for limit in ("ulimit -v none", "ulimit -v 20000"):
        assert ask(place.repository, user=user, limit=limit).secrets == ("token.yml",)
    place.commit({"zeros": bytes(16 << 20)})
    place.belongs_to(OWNER)
    assert ask(place.repository, user=user, deadline_s=30).secrets == ("token.yml",)
    with pytest.raises(ProbeError, match="[Oo]ut of memory|ended with status 2"):
        ask(place.repository, user=user, deadline_s=30, limit="ulimit -v 20000")


def test_git_has_a_limit_of_memory_and_looks_at_one_file_at_a_time(place: Place) -> None:
    tools = place.top / "tools"
    tools.mkdir()
    real = shutil.which("git")
    told = f"ulimit -v; {real} config grep.threads; {real} config core.packedGitLimit"
    (tools / "git").write_text(f"#!/bin/sh\n{{ {told}; }} >>'{place.marker}'\nexec {real} \"$@\"\n")
    (tools / "git").chmod(0o755)
    place.belongs_to(OWNER)
    ask(place.repository, user=0 if ROOT else OWNER, variables={"PATH": f"{tools}:{os.environ['PATH']}"})
    assert {*place.marker.read_text().split()} == {"1048576", "1", "256m"}


def test_an_author_of_any_length_is_unknown(place: Place) -> None:
    head = git(place.repository, "cat-file", "commit", "HEAD").replace("author A B", f"author {'A' * 200_000}")
    commit = git(place.repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{head}\n")
    git(place.repository, "update-ref", "refs/heads/main", commit)
    place.belongs_to(OWNER)
    with pytest.raises(ToolFailed, match="names of authors are more than 100 kB"):
        ask(place.repository, user=0 if ROOT else OWNER)


def test_what_the_owners_shell_says_is_not_kept_without_an_end(place: Place) -> None:
    """A git that writes to no end stands for whatever the owner's other processes do to this one."""
    tools = place.top / "tools"
    tools.mkdir()
    (tools / "git").write_text("#!/bin/sh\nyes error: >&2\n")
    (tools / "git").chmod(0o755)
    place.belongs_to(OWNER)
    with pytest.raises(ToolFailed, match="has no end within 4 MB"):
        ask(place.repository, user=0 if ROOT else OWNER, variables={"PATH": f"{tools}:{os.environ['PATH']}"})


def test_names_are_no_words_of_a_script(place: Place) -> None:
    hostile = place.top / "in'fra $(touch marks) ;*"
    shutil.move(place.repository, hostile)
    place.belongs_to(OWNER, hostile)
    assert ask(hostile, user=0 if ROOT else OWNER).secrets == ("token.yml",)
    assert not list(place.marker.parent.iterdir())


@needs_root
def test_nothing_stays_behind(place: Place) -> None:
    owner = 100_000 + os.getpid()
    place.belongs_to(owner)
    assert ask(place.repository).secrets == ("token.yml",)
    assert left_by(owner) == []


def test_what_a_killed_run_left_is_swept(place: Place) -> None:
    owner = 100_000 + os.getpid()
    place.belongs_to(owner)
    left, another = (Path(tempfile.mkdtemp(prefix="siteproof_git.", suffix=end, dir="/tmp")) for end in ("", "not"))
    left = left.rename(left.with_name("siteproof_git.Ab0_x9"))
    try:
        for made in (left, another):
            (made / "config").touch()
            os.utime(made, (0, 0))
            if ROOT:
                os.chown(made, owner, -1)
        ask(place.repository)
        assert (left.exists(), another.exists()) == (False, True)
    finally:
        shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(another)
