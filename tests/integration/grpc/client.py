"""Calls the server of bytes: `client.py PLAN ADDRESS AUTHORITY [ROOT]`. Says what passed."""

import faulthandler
import os
import queue
import sys
import traceback

import grpc

# Each call has a deadline of its own; where the library itself hangs, this says where.
faulthandler.dump_traceback_later(240, exit=True)
plan, address, authority = sys.argv[1:4]
options = [
    ("grpc.default_authority", authority),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]
if len(sys.argv) > 4:
    with open(sys.argv[4], "rb") as root:
        credentials = grpc.ssl_channel_credentials(root.read())
    options.append(("grpc.ssl_target_name_override", authority))
    channel = grpc.secure_channel(address, credentials, options)
else:
    channel = grpc.insecure_channel(address, options)
TIME = 20


def method(kind, name):
    return getattr(channel, kind)(f"/test.Bytes/{name}")


def status_of(call):
    try:
        result = call()
        list(result) if not isinstance(result, bytes) else None
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def test_unary():
    for message in (b"", b"hello", os.urandom(100_000)):
        answer, call = method("unary_unary", "Unary").with_call(message, timeout=TIME)
        assert answer == message
        assert ("x-length", str(len(message))) in call.trailing_metadata()


def test_many_at_once():
    calls = [method("unary_unary", "Unary").future(b"%d" % n, timeout=TIME) for n in range(200)]
    assert [call.result() for call in calls] == [b"%d" % n for n in range(200)]


def test_four_megabytes():
    message = os.urandom(4 << 20)
    assert method("unary_unary", "Unary")(message, timeout=TIME) == message
    assert list(method("stream_stream", "Bidi")(iter([message] * 3), timeout=TIME)) == [message] * 3


def test_server_stream():
    answers = list(method("unary_stream", "ServerStream")(b"500", timeout=TIME))
    assert answers == [b"%d" % n for n in range(500)]
    assert list(method("unary_stream", "ServerStream")(b"0", timeout=TIME)) == []


def test_client_stream():
    messages = (b"x" * n for n in range(300))
    assert method("stream_unary", "ClientStream")(messages, timeout=TIME) == b"44850"


def test_both_streams_wait_for_each_other():
    sent = queue.Queue()
    answers = method("stream_stream", "Bidi")(iter(sent.get, None), timeout=TIME)
    for number in range(100):
        sent.put(b"%d" % number)
        # Were anything held back, this waited for ever.
        assert next(answers) == b"%d" % number
    sent.put(None)
    assert list(answers) == []


def test_error_trailers():
    error = status_of(lambda: method("unary_unary", "Fail")(b"", timeout=TIME))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "not now: ü"
    assert ("x-detail-bin", b"\x00\x01\xff") in error.trailing_metadata()


def test_error_behind_an_answer():
    answers = method("unary_stream", "FailLate")(b"", timeout=TIME)
    assert next(answers) == b"one"
    error = status_of(lambda: answers)
    assert error.code() is grpc.StatusCode.DATA_LOSS and error.details() == "cut", error


def test_unknown_method():
    error = status_of(lambda: method("unary_unary", "Nothing")(b"", timeout=TIME))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED, error


def test_deadline():
    answers = method("unary_stream", "Hang")(b"", timeout=2)
    assert 0 <= int(next(answers)) <= 2, "the server knows the deadline"
    error = status_of(lambda: answers)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert method("unary_unary", "WasCancelled")(b"", timeout=TIME) == b"yes"


def test_cancellation():
    answers = method("unary_stream", "Hang")(b"", timeout=TIME)
    next(answers)
    answers.cancel()
    assert status_of(lambda: answers).code() is grpc.StatusCode.CANCELLED
    assert method("unary_unary", "WasCancelled")(b"", timeout=TIME) == b"yes"


def refused(code):
    error = status_of(lambda: method("unary_unary", "Unary")(b"", timeout=TIME))
    assert error.code() is code, error
    assert error.details(), "it says why"
    error = status_of(lambda: method("stream_stream", "Bidi")(iter([b""]), timeout=TIME))
    assert error.code() is code, error


PLANS = {
    "all": [test for name, test in list(globals().items()) if name.startswith("test_")],
    "unavailable": [lambda: refused(grpc.StatusCode.UNAVAILABLE)],
    "unimplemented": [lambda: refused(grpc.StatusCode.UNIMPLEMENTED)],
}
status = 0
try:
    for test in PLANS[plan]:
        test()
        print(test.__name__, "passed")
except BaseException:
    traceback.print_exc()
    status = 1
sys.stdout.flush()
sys.stderr.flush()
# The library's threads may hang when they are joined.
os._exit(status)
