"""As much of a Kubernetes API server as `kubectl exec` asks for: a script of one, with real shells of this machine.

It speaks the remote command protocol over WebSocket (v5.channel.k8s.io). It is no cluster: no kubelet, no containers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_STDIN, _STDOUT, _STDERR, _ERROR = range(4)
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
REFUSALS = {
    "gone": (404, "NotFound", 'pods "gone" not found'),
    "forbidden": (403, "Forbidden", 'pods "forbidden" is forbidden: User "op" cannot get resource "pods"'),
    "unauthorized": (401, "Unauthorized", "Unauthorized"),
}


class ApiServer:
    """On 127.0.0.1, without TLS. Any pod that is not one of REFUSALS runs; `done` has ended."""

    def __init__(self, directory: Path) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.kubeconfig = directory / "kube config"
        cluster = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "home", "context": {"cluster": "here", "user": "op"}}
        user = {"name": "op", "user": {"token": "a-token"}}
        self.kubeconfig.write_text(
            json.dumps(
                {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "users": [user]}
            )
        )

    def start(self) -> ApiServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        match url.path.strip("/").split("/"):
            case ["version"]:
                self._say(200, {"major": "1", "minor": "32", "gitVersion": "v1.32.4"})
            case ["api"]:
                self._say(200, {"kind": "APIVersions", "versions": ["v1"]})
            case ["apis"]:
                self._say(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
            case ["api", "v1"]:
                pods = {"name": "pods", "namespaced": True, "kind": "Pod", "verbs": ["get"]}
                self._say(200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": [pods]})
            case ["api", "v1", "namespaces", namespace, "pods", pod]:
                self._pod(namespace, pod)
            case ["api", "v1", "namespaces", _, "pods", _, "exec"]:
                self._exec(parse_qs(url.query)["command"])
            case _:
                self._refuse(404, "NotFound", f"no {url.path} here")

    def _pod(self, namespace: str, pod: str) -> None:
        if pod in REFUSALS:
            self._refuse(*REFUSALS[pod])
            return
        self._say(
            200,
            {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {"name": pod, "namespace": namespace},
                "spec": {"containers": [{"name": "app"}, {"name": "proxy"}]},
                "status": {"phase": "Succeeded" if pod == "done" else "Running"},
            },
        )

    def _refuse(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        self._say(code, status | {"reason": reason, "message": message})

    def _say(self, code: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _exec(self, command: list[str]) -> None:
        key = self.headers["Sec-WebSocket-Key"] + _GUID
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.send_header("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
        self.end_headers()
        self.close_connection = True
        self._sending = threading.Lock()
        # What kubectl leaves running stays, as it would in a container.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        streams = [
            threading.Thread(target=self._pass_on, args=(channel, stream), daemon=True)
            for channel, stream in ((_STDOUT, process.stdout), (_STDERR, process.stderr))
        ]
        for each in (*streams, threading.Thread(target=self._feed, args=(process,), daemon=True)):
            each.start()
        for each in streams:
            each.join()
        status = process.wait()
        ended: dict[str, Any] = {"metadata": {}, "status": "Success"}
        if status:
            causes = {"causes": [{"reason": "ExitCode", "message": str(status)}]}
            message = f"command terminated with non-zero exit code: exit status {status}"
            ended |= {"status": "Failure", "reason": "NonZeroExitCode", "message": message, "details": causes}
        with suppress(OSError):
            self._send(_BINARY, bytes([_ERROR]) + json.dumps(ended).encode())
            self._send(_CLOSE, struct.pack("!H", 1000))

    def _pass_on(self, channel: int, stream: Any) -> None:
        with suppress(OSError):
            while chunk := stream.read1(1 << 15):
                self._send(_BINARY, bytes([channel]) + chunk)

    def _send(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        head = (
            struct.pack("!BB", 0x80 | opcode, length)
            if length < 126
            else struct.pack("!BBH", 0x80 | opcode, 126, length)
        )
        with self._sending:
            self.wfile.write(head + payload)

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """What kubectl sends, to the shell's stdin."""
        stdin = process.stdin
        assert stdin is not None
        with suppress(OSError, ValueError, struct.error):
            while True:
                first, second = self.rfile.read(2)
                length = second & 0x7F
                if length >= 126:
                    size, form = (2, "!H") if length == 126 else (8, "!Q")
                    (length,) = struct.unpack(form, self.rfile.read(size))
                mask = self.rfile.read(4)
                masked = self.rfile.read(length)
                payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
                if first & 0x0F == _PING:
                    self._send(_PONG, payload)
                elif first & 0x0F == _CLOSE:
                    break
                elif payload[:1] == bytes([_STDIN]):
                    stdin.write(payload[1:])
                    stdin.flush()
        with suppress(OSError):
            stdin.close()
