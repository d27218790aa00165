"""Who is not let in, or gets no shell, is told in the host's own words, by a real sshd with PAM and real accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import gathered
from isolated_host import IsolatedHost, isolated_host

from siteproof.asks import Command
from siteproof.errors import AuthenticationRefused, ProbeError, Unreachable
from siteproof.evidence.store import Store

QUESTION = "id -u"


@pytest.fixture(scope="module")
def host() -> Iterator[IsolatedHost]:
    with isolated_host(UsePAM="yes", Banner="/etc/issue.test") as host:
        host.write("/etc/issue.test", "Authorised use only.\n")
        yield host


@pytest.mark.parametrize(
    ("user", "prepare", "kind", "says"),
    [
        ("former", "chage --expiredate 1 former", AuthenticationRefused, "Your account has expired"),
        ("stale", "chage --lastday 0 stale", Unreachable, "Password change required but no TTY available"),
        ("shut", "usermod --shell /usr/sbin/nologin shut", Unreachable, "This account is currently not available"),
        (
            "mute",
            "usermod --shell /bin/false mute",
            Unreachable,
            "with status 1 .* without a word: /bin/false, a nologin",
        ),
    ],
)
def test_the_reason_is_the_hosts_own(
    host: IsolatedHost, tmp_path: Path, user: str, prepare: str, kind: type[ProbeError], says: str
) -> None:
    host.add_user(user)
    host.run(prepare)
    connection = host.connection(user, host.let_in(user), user=user)
    (answer,) = gathered(connection, [Command(user, "id", 5, "reads", QUESTION)], Store(tmp_path / "evidence"))
    with pytest.raises(kind, match=says):
        raise answer if isinstance(answer, ProbeError) else AssertionError(answer)


def test_a_host_that_is_being_shut_down_says_so(host: IsolatedHost, tmp_path: Path) -> None:
    host.add_user("waits")
    host.write("/run/nologin", "System is going down. Unprivileged users are not permitted to log in anymore.\n")
    try:
        connection = host.connection("waits", host.let_in("waits"), user="waits")
        (answer,) = gathered(connection, [Command("waits", "id", 5, "reads", QUESTION)], Store(tmp_path / "evidence"))
    finally:
        host.run("rm /run/nologin")
    assert isinstance(answer, AuthenticationRefused), answer
    assert "System is going down" in answer.message
