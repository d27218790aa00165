"""Listen on the TCP ports given as arguments and answer every connection with a short page."""

import socketserver
import sys
import threading

PAGE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


class Page(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(1)
        try:
            self.request.recv(4096)
        except TimeoutError:
            return
        self.request.sendall(PAGE)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


# All addresses, of the lab host's own network namespace.
servers = [Server(("0.0.0.0", int(port)), Page) for port in sys.argv[1:]]  # noqa: S104  # nosec B104
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
