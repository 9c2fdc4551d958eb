"""A receiver of webhooks on this machine, for the scripts that drive the SDK."""

import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

WAIT_S = 15
ANSWER = b"thanks"


class Received(NamedTuple):
    """One request. Names of headers are in lower case."""

    headers: dict
    body: bytes

    @property
    def message_id(self):
        return self.headers["webhook-id"]


class Receiver:
    """Records what it is sent, by path; answers by a path's list of statuses, then 200."""

    def __init__(self):
        self.statuses = defaultdict(list)
        self._received = defaultdict(list)
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver._arrived:
                    statuses = receiver.statuses[self.path]
                    status = statuses.pop(0) if statuses else 200
                    receiver._received[self.path].append(Received(headers, body))
                    receiver._arrived.notify_all()
                self.send_response(status)
                self.send_header("content-length", str(len(ANSWER)))
                self.end_headers()
                self.wfile.write(ANSWER)

            def log_message(self, *_):
                pass

        return Handler

    def url(self, path):
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def wait(self, path, message_id=None, count=1):
        """Waits for as many requests to a path, of one message if it is named; the last of them."""

        def found():
            all_of_path = self._received[path]
            rows = [row for row in all_of_path if message_id in (None, row.message_id)]
            return rows if len(rows) >= count else None

        with self._arrived:
            rows = self._arrived.wait_for(found, WAIT_S)
        assert rows, f"{path}: no {count} requests of {message_id} in {WAIT_S} s: {self._received[path]}"
        return rows[count - 1]
