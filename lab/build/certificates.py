"""The lab's own certificate authority, its server chains, the registry's token signer, and everybody's SSH keys.

The chains are of RSA-4096 throughout: a server's first flight must not fit into two segments, or a lost middle-sized
packet would go unnoticed.
"""

from __future__ import annotations

import base64
import re
import secrets
from pathlib import Path

from lab.build.errors import BuildError
from lab.build.processes import Commands
from lab.build.wanted import Wanted

PART = "certificates and keys"
KEY_BITS = 4096
TOKEN_KEY_BITS = 2048
VALID_DAYS = 3650
CHAIN_BYTES_AT_LEAST = 2900
_SUBJECT = "/O=siteproof lab/OU=an internet of its own, for tests/CN="
_AUTHORITY = "basicConstraints = critical, CA:TRUE{path}\nkeyUsage = critical, keyCertSign, cRLSign\n"
_SERVER = (
    "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature, keyEncipherment\n"
    "extendedKeyUsage = serverAuth\nsubjectAltName = {names}\n"
)
_IDENTIFIERS = "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"


def inputs(wanted: Wanted) -> dict[str, object]:
    return {
        "key bits": (KEY_BITS, TOKEN_KEY_BITS),
        "days": VALID_DAYS,
        "servers": dict(wanted.servers),
        "token server": wanted.token_server,
        "ssh hosts": wanted.ssh_hosts,
        "forms": (_SUBJECT, _AUTHORITY, _SERVER, _IDENTIFIERS),
    }


def make(commands: Commands, wanted: Wanted, into: Path) -> None:
    """Fill `into` with the keys (0600) and certificates."""
    commands.begin(PART)
    authority = _Authority(commands, into)
    authority.sign("ca", "siteproof lab root", _AUTHORITY.format(path=""), signer=None)
    authority.sign("intermediate", "siteproof lab intermediate", _AUTHORITY.format(path=", pathlen:0"), signer="ca")
    intermediate = (into / "intermediate.crt").read_text()
    for name, served in wanted.servers.items():
        names = ", ".join(f"DNS:{n}" for n in served)
        authority.sign(name, served[0], _SERVER.format(names=names), signer="intermediate")
        chain = (into / f"{name}.crt").read_text() + intermediate
        if der_bytes(chain) < CHAIN_BYTES_AT_LEAST:
            raise BuildError(f"{PART}: the chain of {name} has only {der_bytes(chain)} bytes")
        (into / f"{name}.crt").write_text(chain)
    token = _SERVER.format(names=f"DNS:{wanted.token_server}")
    authority.sign("token", "registry token", token, None, TOKEN_KEY_BITS)
    # The lab is a world of its own: its hosts trust its root and nobody else.
    (into / "ca-certificates.crt").write_text((into / "ca.crt").read_text())

    _ssh_key(commands, into / "id_ed25519", "siteproof lab client")
    (into / "hostkeys").mkdir()
    for host in wanted.ssh_hosts:
        _ssh_key(commands, into / "hostkeys" / host, host)


def der_bytes(pem: str) -> int:
    """How long the certificates of a PEM text are on the wire."""
    bodies = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
    return sum(len(base64.b64decode(body)) for body in bodies)


class _Authority:
    def __init__(self, commands: Commands, into: Path) -> None:
        self._commands = commands
        self._into = into

    def sign(self, name: str, common_name: str, extensions: str, signer: str | None, bits: int = KEY_BITS) -> None:
        """Make NAME.key and NAME.crt, signed by another's key, or by its own where there is no signer."""
        key, request = self._into / f"{name}.key", self._into / f"{name}.csr"
        form = self._into / f"{name}.ext"
        key.touch(0o600)
        self._commands.run(PART, ["openssl", "genrsa", "-out", key, str(bits)])
        subject = ["-subj", _SUBJECT + common_name, "-config", "/dev/null"]
        self._commands.run(PART, ["openssl", "req", "-new", "-key", key, *subject, "-out", request])
        form.write_text(extensions + _IDENTIFIERS)
        other = ["-CA", f"{self._into}/{signer}.crt", "-CAkey", f"{self._into}/{signer}.key"]
        by = other if signer else ["-signkey", key]
        dates = ["-days", str(VALID_DAYS), "-set_serial", f"0x{secrets.token_hex(15)}"]
        crt = self._into / f"{name}.crt"
        self._commands.run(
            PART, ["openssl", "x509", "-req", "-sha256", "-in", request, *by, *dates, "-extfile", form, "-out", crt]
        )
        request.unlink()
        form.unlink()


def _ssh_key(commands: Commands, path: Path, comment: str) -> None:
    commands.run(PART, ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
