"""A backend, and clients that count what goes wrong."""

import http.client
import http.server
import socketserver
import threading
import time


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("", 0)


class Backend:
    """Listens on a free port, or on a Unix socket."""

    def __init__(self, body, path=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        if path:
            self.server = UnixServer(str(path), Handler)
        else:
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def get(port, host, path="/"):
    """The status and the body of an answer, on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Load:
    """Clients that ask without a pause until `stop`: each request on a new connection, or on one that is `kept`."""

    def __init__(self, port, host, expected, kept=False, clients=4):
        self.answered, self.failures = 0, []
        self.ended, self.lock = threading.Event(), threading.Lock()
        ask = self.keep if kept else self.ask
        self.threads = [
            threading.Thread(target=ask, args=(port, host, expected), daemon=True) for _ in range(clients)
        ]
        for thread in self.threads:
            thread.start()

    def ask(self, port, host, expected):
        while not self.ended.is_set():
            try:
                answer = get(port, host)
            except (OSError, http.client.HTTPException) as error:
                answer = error
            self.count(answer, expected)

    def keep(self, port, host, expected):
        """`http.client` connects again where the server has said that it closes, and only there."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while not self.ended.is_set():
            try:
                connection.request("GET", "/", headers={"Host": host})
                answer = connection.getresponse()
                answer = answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                answer = error
                connection.close()
            self.count(answer, expected)
        connection.close()

    def count(self, answer, expected):
        with self.lock:
            if answer == (200, expected):
                self.answered += 1
            else:
                self.failures.append(answer)

    def wait_for_more(self, requests=200):
        """Until so many more are answered; a failure ends it too."""
        wanted, deadline = self.answered + requests, time.monotonic() + 30
        while self.answered < wanted and not self.failures and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()
