"""Which lines of a repository hold what looks like a secret, as git itself and grep find them."""

from __future__ import annotations

import random
import string
import subprocess
from pathlib import Path

import pytest

from siteproof.probes.files.git import SECRETS

CHANCE = random.Random(1)


def some(count: int, of: str = string.ascii_letters + string.digits) -> str:
    """Made here, so that no secret's form stands in this file."""
    return "".join(CHANCE.choice(of) for _ in range(count))


HEX = "0123456789abcdef"
FOUND = {
    "OpenSSH's key": "-----BEGIN OPENSSH PRIVATE" + " KEY-----",
    "PGP's key": "-----BEGIN PGP PRIVATE" + " KEY BLOCK-----",
    "GitHub": f"x gh{'p'}_{some(36)}",
    "GitLab": f"token: gl{'pat'}-{some(20)}",
    "AWS": f"AK{'IA'}{some(16, string.ascii_uppercase)}",
    "AWS, the other half": f"aws_secret_access_key = a1{some(38)}",
    "Docker Hub": f"dckr_{'pat'}_{some(27)}",
    "Vault": f"hv{'s'}.{some(24)}",
    "npm": f"np{'m'}_{some(36)}",
    "npm, in its settings": f"//registry.npmjs.org/:_authToken=1234{some(30)}",
    "PyPI": f"py{'pi'}-AgEIcHlwaS5vcmc{some(60)}",
    "Tailscale": f"ts{'key'}-auth-kAbcdefCNTRL-{some(32)}",
    "a model's API": f"sk-{'proj'}-{some(40)}",
    "k3s": f"K{10}{some(64, HEX)}::server:{some(32)}",
    "WireGuard": f"PrivateKey = {some(43)}=",
    "Telegram": f"{some(9, string.digits)}:AA{some(33)}",
    "an assignment": "DB_PASSWORD=hunter2hunter2",
    "YAML": "  POSTGRES_PASSWORD: s3cr3tPassw0rd",
    "with quotes": 'password: "Tr0ub4dor&3"',
    "a header": f"Authorization: Bearer {some(30)}",
    "a login of docker's": f'"auth": "{some(24)}"',
    "netrc": "machine a.example login b password c",
    "a URL": "postgres://u:hunter22@db/x",
}
PASSED = (
    "POSTGRES_PASSWORD_FILE: /run/secrets/db",
    "password: ${DB_PASSWORD}",
    "password: {{ vault_db_password1 }}",
    "password = get_password1()",
    "password: ENC[AES256_GCM,data:abc123]",
    "api_key: $API_KEY",
    "passwordAuthentication: false",
    f"image: r.example/app@sha256:{some(64, HEX)}",
    "https://r.example:5000/v2",
    "password: os.environ.PASSWORD1",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "password: <redacted-12345>",
    "PASSWORD=",
    "docker run -e PASSWORD1 x",
)


def found(line: str, place: Path, *tool: str) -> int:
    (place / "file").write_text(f"{line}\n")
    asked = [*tool, "-E", *(word for pattern in SECRETS for word in ("-e", pattern)), "--", "file"]
    return subprocess.run(asked, cwd=place, capture_output=True, check=False).returncode


@pytest.mark.parametrize("tool", [("git", "grep", "--no-index", "-a"), ("grep",)], ids=["git", "grep"])
def test_a_secret_is_told_from_what_only_speaks_of_one(tool: tuple[str, ...], tmp_path: Path) -> None:
    assert {what: found(line, tmp_path, *tool) for what, line in FOUND.items()} == dict.fromkeys(FOUND, 0)
    assert {line: found(line, tmp_path, *tool) for line in PASSED} == dict.fromkeys(PASSED, 1)
