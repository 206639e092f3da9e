#!/usr/bin/python3
"""Makes docs/pictures/top.svg: what `vhost ctl top` shows in a terminal while a deploy drains.

Everything on it is real: a proxy, backends, a minute of traffic, and a terminal (tmux) whose screen is drawn.
`./dev picture` calls it; it needs tmux.
"""

import html
import http.client
import http.server
import itertools
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

COLUMNS, ROWS = 86, 20
# Domains with the requests a second that they get, and the median time of an answer in seconds.
TRAFFIC = {"shop.example.com": (30, 0.04), "api.example.com": (12, 0.012), "blog.example.com": (2, 0.09)}
# The statistics and the small charts cover the last minute.
MINUTE = 62

# Light, with a frame of its own, so that it can be read on pages of both themes.
PAPER, INK, FRAME = "#f6f8fa", "#1f2328", "#d0d7de"
DIM = "#656d76"
COLOURS = ["#24292f", "#cf222e", "#116329", "#7d4e00", "#0550ae", "#8250df", "#1b7c83", "#57606a"]
CELL, LINE, SIZE, MARGIN = 8.4, 18, 14, 14
BARS = "▁▂▃▄▅▆▇█"
PARTS = f"[{BARS}]+| {{2,}}|(?:[^ {BARS}]| (?! ))+| "


class Answers(http.server.BaseHTTPRequestHandler):
    """A backend: a path says how long an answer takes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        seconds = float(self.path[1:] or 0)
        time.sleep(seconds)
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


class Backend(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # At the end, the server goes while requests are under way.


def backend():
    server = Backend(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def address(server):
    return f"localhost:{server.server_address[1]}"


def get(port, domain, seconds):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", f"/{seconds:.3f}", headers={"Host": domain})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass  # The same at this end.
    finally:
        connection.close()


def send(port, domain):
    """Sends requests at random moments, as many people do."""
    rate, median = TRAFFIC[domain]
    for i in itertools.count():
        # It rises and falls a little, which the charts show.
        now = rate * (1 + 0.5 * random.Random(int(time.time() / 5)).uniform(-1, 1))
        time.sleep(random.expovariate(now))
        seconds = min(random.lognormvariate(0, 0.5) * median, 2)
        threading.Thread(target=get, args=(port, domain, seconds), daemon=True).start()


def free_port():
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        return server.server_address[1]


def screen(vhost, folder):
    """The lines of a terminal in which a deploy drains, with their escape sequences."""
    port, socket = free_port(), f"{folder}/admin.sock"
    config = f"{folder}/vhost.toml"
    with open(config, "w") as file:
        file.write(f'[proxy]\nlisten_addr_http = "127.0.0.1:{port}"\n')
        file.write(f'admin_socket = "{socket}"\nstate_dir = "{folder}/state"\n')
        file.write("[health_check]\ninterval_secs = 1\n")
    environment = os.environ | {"VHOST_SOCKET": socket}
    environment.pop("NO_COLOR", None)

    def ctl(*arguments):
        subprocess.run([vhost, "ctl", *arguments], env=environment, check=True, capture_output=True)

    log = open(f"{folder}/log", "w")
    server = subprocess.Popen([vhost, "serve", "--config", config], stderr=log)
    tmux = ["tmux", "-S", f"{folder}/tmux.sock", "-f", "/dev/null"]
    try:
        status = [vhost, "ctl", "status"]
        while subprocess.run(status, env=environment, capture_output=True).returncode:
            if server.poll() is not None:
                sys.exit(open(f"{folder}/log").read())
            time.sleep(0.1)
        old, new = [backend(), backend()], [backend(), backend()]
        api, blog = [backend(), backend()], backend()
        ctl("deploy", "blog", address(blog), "--host", "blog.example.com", "--release", "v7")
        ctl("deploy", "api", *map(address, api), "--host", "api.example.com", "--release", "v31")
        ctl("deploy", "shop", *map(address, old), "--host", "shop.example.com", "--release", "v41")
        for domain in TRAFFIC:
            threading.Thread(target=send, args=(port, domain), daemon=True).start()
        time.sleep(MINUTE - 20)
        # One of the API's backends dies, and its requests go to the other.
        api[1].shutdown()
        api[1].server_close()
        time.sleep(20)
        # Two downloads of the old version go on beyond the deploy.
        for _ in range(2):
            threading.Thread(target=get, args=(port, "shop.example.com", 30), daemon=True).start()
        time.sleep(0.5)
        deploy = [vhost, "ctl", "deploy", "shop", *map(address, new), "--release", "v42"]
        subprocess.Popen(deploy, env=environment, stderr=log, stdout=log)
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        subprocess.run([*tmux, "new-session", "-d", *size, vhost, "ctl", "top"], env=environment, check=True)
        time.sleep(6)
        shown = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True)
        return shown.stdout.rstrip("\n").split("\n")
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True)
        server.kill()
        server.wait()


class Style:
    """What the escape sequences so far say of the next characters."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.bold = self.dim = self.reverse = False
        self.colour = self.ground = None

    def take(self, codes):
        codes = [int(code or 0) for code in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.reset()
            elif code == 1:
                self.bold = True
            elif code == 2:
                self.dim = True
            elif code == 22:
                self.bold = self.dim = False
            elif code in (7, 27):
                self.reverse = code == 7
            elif 30 <= code <= 37:
                self.colour = COLOURS[code - 30]
            elif 90 <= code <= 97:
                self.colour = DIM if code == 90 else COLOURS[code - 90]
            elif code == 38 and codes[0] == 5 and codes[1] < 16:
                self.colour = DIM if codes[1] == 8 else COLOURS[codes[1] % 8]
                del codes[:2]
            elif code == 39:
                self.colour = None
            elif code == 49:
                self.ground = None
            else:
                sys.exit(f"the picture has no colour for SGR {code}")

    def of_text(self):
        ink = self.colour or (DIM if self.dim else INK)
        return (PAPER, ink) if self.reverse else (ink, self.ground)


def cells(line, style):
    """Each character of a line with its colour, its ground, and whether it is bold."""
    for part in re.split(r"(\x1b\[[0-9;]*m|\x0e|\x0f|\x1b\(B)", line):
        if part.startswith("\x1b["):
            style.take(part[2:-1])
        elif not part.startswith(("\x1b", "\x0e", "\x0f")):
            for character in part:
                yield character, *style.of_text(), style.bold


def picture(lines):
    """The screen as SVG. Bars are drawn as boxes, so that they look alike in each font."""
    lines = ["$ vhost ctl top", ""] + lines
    width, height = COLUMNS * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    words = "The screen of vhost ctl top: domains with their rates, errors and latencies, backends with their " \
        "health, and a deploy of the app shop that drains"
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" ' \
        f'height="{height:g}" role="img" aria-label="{words}">'
    yield "<!-- made by ./dev picture -->"
    yield f'<rect x=".5" y=".5" width="{width - 1:g}" height="{height - 1:g}" rx="8" fill="{PAPER}" stroke="{FRAME}"/>'
    yield f"<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" " \
        f'font-size="{SIZE}" fill="{INK}" xml:space="preserve">'
    style = Style()
    for row, line in enumerate(lines):
        top, column = MARGIN + row * LINE, 0
        # A run differs in its characters only; a part of it has no gap of two spaces.
        for look, run in itertools.groupby(cells(line, style), key=lambda cell: cell[1:]):
            colour, ground, bold = look
            text = "".join(cell[0] for cell in run)
            if ground:
                yield f'<rect x="{MARGIN + column * CELL:g}" y="{top}" width="{len(text) * CELL:g}" ' \
                    f'height="{LINE}" fill="{ground}"/>'
            for part in re.findall(PARTS, text):
                x = MARGIN + (column + len(part) - len(part.lstrip())) * CELL
                column += len(part)
                part = part.strip()
                if part.startswith(tuple(BARS)):
                    for i, bar in enumerate(part):
                        tall = (BARS.index(bar) + 1) * (LINE - 4) / 8
                        yield f'<rect x="{x + i * CELL:g}" y="{top + LINE - 2 - tall:g}" width="{CELL - 1:g}" ' \
                            f'height="{tall:g}" fill="{colour}"/>'
                elif part:
                    attributes = "" if colour == INK else f' fill="{colour}"'
                    attributes += ' font-weight="bold"' if bold else ""
                    yield f'<text x="{x:g}" y="{top + 13.5:g}" textLength="{len(part) * CELL:g}"{attributes}>' \
                        f"{html.escape(part)}</text>"
    yield "</g>"
    yield "</svg>"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: top.py VHOST SVG")
    random.seed(1)
    with tempfile.TemporaryDirectory(prefix="vhost-picture-") as folder:
        lines = screen(os.path.abspath(sys.argv[1]), folder)
    with open(sys.argv[2], "w") as file:
        file.write("\n".join(picture(lines)) + "\n")


if __name__ == "__main__":
    main()
