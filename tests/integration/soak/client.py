"""Sends a request for each line of standard input ("METHOD PATH ORDER", the last for a POST) with Python's own client, over one
connection, and prints each answer as a line of JSON."""

import http.client
import json
import sys

ip, port, host = sys.argv[1:]
connection = http.client.HTTPConnection(ip, int(port), timeout=20)
for line in sys.stdin:
    method, path, order = line.split()
    is_post = method == "POST"
    number = {"X-Order": order} if is_post else {}
    connection.request(method, path, "one book" if is_post else None, {"Host": host} | number)
    answer = connection.getresponse()
    head = {"status": answer.status, "backend": answer.getheader("x-backend"), "closes": answer.will_close}
    print(json.dumps(head | {"text": answer.read().decode()}), flush=True)
