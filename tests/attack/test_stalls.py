"""Who stalls, goes or opens too many: deadlines, bounds and places of connections and uploads."""

import contextlib
import gc
import json
import logging
import time
import weakref
from typing import Any

import httpx
import pytest
from hostile import GET, POST, UPGRADE, dialled, rest, trickle, upgraded
from serving import END, START, running, say, speech, wait_for
from uploads import audio_file

from gtcrn import Denoiser, Stream
from gtcrn_server.live import Live
from gtcrn_server.load.client import frame

pytestmark = pytest.mark.attack
BEGINNINGS = {
    "nothing": b"",
    "half a first header": b"GET /healthz HTTP/1.1\r\nHost: 127",
    "half a second header": GET + b"GET /healthz HTTP/1.1\r\nHost: 127",
    "an upload's header": POST + b"Content-Length: 1000\r\n\r\n",
    "half an upload": POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 1_000,
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b"x" * 1_000,
    "a handshake": UPGRADE,
    "a stream without start": UPGRADE + b"\r\n",
}


@pytest.mark.parametrize("what", BEGINNINGS)
@pytest.mark.parametrize("dripping", [False, True], ids=["silent", "a byte at a time"])
def test_every_phase_has_a_deadline(denoiser: Denoiser, what: str, dripping: bool) -> None:
    with running(denoiser, start_seconds=0.5, idle_seconds=1) as service, dialled(service.port) as connection:
        connection.sendall(BEGINNINGS[what])
        if dripping:
            assert trickle(connection, b"x", 0.05)
        else:
            rest(connection)
        assert httpx.get(f"{service.http}/healthz").status_code == 200
        wait_for(lambda: service.service.files.taken == 0)
        wait_for(lambda: service.service.telemetry.live == 0)
        wait_for(lambda: not service.service.guards)
        assert service.service.connections.taken == 0


def test_a_slow_but_steady_upload_is_served(denoiser: Denoiser) -> None:
    """The rule is a rate: pauses of less than the idle limit are of no account while it holds on average."""
    settings: dict[str, Any] = {"start_seconds": 0.3, "idle_seconds": 20, "min_body_rate": 200}
    with running(denoiser, **settings) as service, dialled(service.port) as connection:
        connection.sendall(POST + b"Connection: close\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(10):
            time.sleep(0.2)
            connection.sendall(b"x" * 1_000)
        assert rest(connection).startswith(b"HTTP/1.1 422")


def test_stalled_uploads_leave_places_to_others(denoiser: Denoiser) -> None:
    """Sixteen of one client; another one is served meanwhile, and the first ones' places come back."""
    with running(denoiser, trusted_proxies="", start_seconds=10) as service, contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(dialled(service.port, "127.0.0.2")) for _ in range(16)]
        for connection in stalled:
            connection.sendall(POST + b"Content-Length: 1000\r\n\r\nx")
        wait_for(lambda: service.service.files.taken == 8)
        assert httpx.post(f"{service.http}/v1/denoise", content=b"no audio").status_code == 422
        answers = [rest(connection)[9:12] for connection in stalled]
        assert sorted(answers) == [b"408"] * 8 + [b"503"] * 8
        assert service.service.files.taken == 0


def test_uploads_of_clients_that_go_fill_no_log(denoiser: Denoiser, caplog: pytest.LogCaptureFixture) -> None:
    """Each left a traceback: what was written after the connection had been dropped."""
    ahead = audio_file(speech(60))
    log = logging.getLogger("uvicorn.error")
    with running(denoiser) as service, contextlib.ExitStack() as after:
        log.addHandler(caplog.handler)
        after.callback(log.removeHandler, caplog.handler)
        for _ in range(10):
            with dialled(service.port) as connection, contextlib.suppress(OSError):
                for _ in range(3):  # nobody reads the first one's answer: the third is over the bound
                    connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(ahead) + ahead)
        wait_for(lambda: service.service.files.taken == 0)
    assert not [record for record in caplog.records if record.exc_info]


def test_connections_are_bounded_in_all_and_for_a_client(denoiser: Denoiser) -> None:
    with running(denoiser, trusted_proxies="", max_connections=20, max_connections_per_client=12) as service:
        with contextlib.ExitStack() as stack:
            for address, held in (("127.0.0.2", 12), ("127.0.0.3", 8)):
                for _ in range(held):
                    stack.enter_context(dialled(service.port, address))
                wait_for(lambda: service.service.connections.taken in (12, 20))
                refused = stack.enter_context(dialled(service.port, address))
                assert rest(refused).startswith(b"HTTP/1.1 503")
            assert service.service.telemetry.rejections["busy"] == 2
        wait_for(lambda: service.service.connections.taken == 0)
        assert httpx.get(f"{service.http}/healthz").status_code == 200


def test_a_proxy_stands_for_many_clients(denoiser: Denoiser) -> None:
    with running(denoiser, max_connections_per_client=2, max_files_per_client=1) as service:
        headers = {"X-Forwarded-For": "192.0.2.7", "Content-Length": "9"}
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(dialled(service.port))
            head = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
            stack.enter_context(dialled(service.port)).sendall(POST + head + b"\r\nx")
            wait_for(lambda: service.service.files.taken == 1)
            for forwarded, status in (("192.0.2.7", 503), ("192.0.2.8", 422)):
                answer = httpx.post(f"{service.http}/v1/denoise", content=b"-", headers={"X-Forwarded-For": forwarded})
                assert answer.status_code == status


def test_who_does_not_close_after_the_last_word_is_dropped(denoiser: Denoiser) -> None:
    with running(denoiser, slow_reader_seconds=0.5) as service, dialled(service.port) as connection:
        upgraded(connection)
        connection.sendall(frame(json.dumps(START).encode(), 1) + frame(json.dumps(END).encode(), 1))
        wait_for(lambda: service.service.telemetry.live == 0)
        wait_for(lambda: not service.service.guards)


LAST: dict[str, list[bytes | dict[str, str]]] = {
    "its end": [END],
    "a fault": [b"\0"],
    "too many faults": [{"type": "nothing"}] * 11,
    "nothing": [],
}


@pytest.mark.parametrize("last", LAST)
def test_what_a_stream_held_goes_with_it(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """At once, not when the interpreter looks for cycles: filters of an odd rate are half a megabyte."""
    held: list[weakref.ref[Stream]] = []
    made = Live.__init__

    def noted(self: Live, *args: Any) -> None:
        made(self, *args)
        held.append(weakref.ref(self.stream))

    monkeypatch.setattr(Live, "__init__", noted)
    gc.disable()
    try:
        with running(denoiser, idle_seconds=0.3) as service:
            for _ in range(3):
                say(service.socket, START, b"\0" * 640, *LAST[last])
            wait_for(lambda: service.service.telemetry.live == 0)
            wait_for(lambda: not any(each() for each in held))
    finally:
        gc.enable()
    assert len(held) == 3


def test_streams_live_on_beside_all_of_this(denoiser: Denoiser) -> None:
    with running(denoiser) as service:
        assert say(service.socket, START, b"\0" * 640, END).code == 1000
