"""A gRPC server of bytes: `server.py ADDRESS [CERTIFICATE KEY]`. Says `ready` once it listens."""

import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)


def unary(request, context):
    context.set_trailing_metadata((("x-length", str(len(request))),))
    return request


def server_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def client_stream(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def bidi(requests, context):
    yield from requests


def fail(request, context):
    context.set_trailing_metadata((("x-detail-bin", b"\x00\x01\xff"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: ü")


def fail_late(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "cut")


def hang(request, context):
    context.add_callback(cancelled.release)
    yield b"%d" % int(context.time_remaining() or -1)
    threading.Event().wait(30)


def was_cancelled(request, context):
    return b"yes" if cancelled.acquire(timeout=10) else b"no"


def check(request, context):
    """`grpc.health.v1.Health/Check`: only `test.Bytes` is known, and serves."""
    if request != b"\x0a\x0atest.Bytes":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return b"\x08\x01"


HEALTH = {"Check": grpc.unary_unary_rpc_method_handler(check)}

HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}

server = grpc.server(
    futures.ThreadPoolExecutor(max_workers=32),
    options=(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)),
)
server.add_generic_rpc_handlers((
    grpc.method_handlers_generic_handler("test.Bytes", HANDLERS),
    grpc.method_handlers_generic_handler("grpc.health.v1.Health", HEALTH),
))
if len(sys.argv) > 2:
    certificate, key = (open(path, "rb").read() for path in sys.argv[2:4])
    server.add_secure_port(sys.argv[1], grpc.ssl_server_credentials([(key, certificate)]))
else:
    server.add_insecure_port(sys.argv[1])
server.start()
print("ready", flush=True)
server.wait_for_termination()
