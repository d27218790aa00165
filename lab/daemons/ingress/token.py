"""The registry's token service, as Forgejo's: an anonymous caller gets a short-lived RS256 token for what it asks."""

import base64
import json
import subprocess
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ISSUER = "@{registry}"
CHAIN = "".join(Path("/etc/registry/token.crt").read_text().split("-----")[2].split())


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(text: str) -> str:
    command = ["openssl", "dgst", "-sha256", "-sign", "/etc/registry/token.key"]
    return segment(subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout)


def access(scope: str) -> dict[str, Any]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


class Token(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [CHAIN]}
        claims = {
            "iss": ISSUER,
            "sub": "",
            "aud": query.get("service", ["container_registry"])[0],
            "exp": now + 300,
            "nbf": now - 5,
            "iat": now,
            "jti": str(time.time_ns()),
            "access": [access(scope) for scope in query.get("scope", [])],
        }
        signed = f"{segment(json.dumps(header).encode())}.{segment(json.dumps(claims).encode())}"
        body = json.dumps({"token": f"{signed}.{sign(signed)}", "expires_in": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        # Containerd tries OAuth's POST first and falls back to GET on 405, as it must with Forgejo.
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", 5001), Token).serve_forever()
