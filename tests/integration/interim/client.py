"""Sends what it reads from standard input, and prints each head that comes back as a line of JSON as soon
as it is there; behind the last one its body and trailers."""

import http.client
import json
import socket
import sys


def fields(message):
    return [[name.lower(), value] for name, value in message.items()]


def chunks(file):
    while size := int(file.readline().split(b";")[0], 16):
        yield file.read(size)
        assert file.readline() == b"\r\n"


def show(**what):
    print(json.dumps(what), flush=True)


connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
connection.sendall(sys.stdin.buffer.read())
file = connection.makefile("rb")
while True:
    version, status, _ = file.readline().decode().split(" ", 2)
    head = http.client.parse_headers(file)
    show(status=int(status), fields=fields(head))
    if int(status) >= 200:
        break
if head.get("transfer-encoding") == "chunked":
    body = b"".join(chunks(file))
    show(body=body.decode(), trailers=fields(http.client.parse_headers(file)))
elif "content-length" in head:
    show(body=file.read(int(head["content-length"])).decode(), trailers=[])
else:
    show(body=file.read().decode(), trailers=[])
