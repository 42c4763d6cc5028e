"""Several workers of `gtcrn serve`: they share ports and metrics; one that dies or hangs is replaced."""

import contextlib
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from commands import PATIENCE, children, command_line
from served import Serving, free_port, random_weights, ready, serving
from serving import cut, offline, pcm, speech, wait_for

from gtcrn import Denoiser
from gtcrn_server.processes.workers import Slot


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights"))


def test_workers_share_a_port_and_a_rest_stream_lives_in_one(weights: Path, denoiser: Denoiser) -> None:
    data = pcm(speech(0.5))
    with serving(weights, "--workers", "2") as service, httpx.Client(base_url=service.http) as client:
        both_serve(service)
        path = client.post("/v1/streams").headers["location"]  # the connection stays with its worker
        output = b""
        for i, piece in enumerate(cut(data, (8000,))):
            output += client.post(f"{path}/frames", params={"sequence": i}, content=piece).content
        asked: list[int] = []

        def asked_elsewhere() -> bool:
            asked.append(httpx.get(service.http + path).status_code)  # each on a connection of its own
            return asked[-1] == 421

        wait_for(asked_elsewhere)
        assert set(asked) <= {200, 421}
        assert output + client.delete(path).content == offline(denoiser, data)


def test_one_scrape_tells_of_all_workers_and_counts_go_on_when_one_dies(weights: Path) -> None:
    def told(name: str) -> dict[str, float]:
        found = re.findall(rf'^{name}{{.*worker="(\d)".*}} ([\d.e+-]+)$', metrics(service), re.MULTILINE)
        return {worker: float(value) for worker, value in found}

    with serving(weights, "--workers", "2") as service:
        wait_for(lambda: ready(service.http) == 200)

        def opened_in_both() -> bool:
            httpx.post(f"{service.http}/v1/streams")
            return len(told("gtcrn_streams_total")) == 2

        wait_for(opened_in_both)
        wait_for(lambda: sum(told("gtcrn_active_streams").values()) == sum(told("gtcrn_streams_total").values()))
        opened = told("gtcrn_streams_total")
        delays = told("gtcrn_queue_delay_seconds_count")
        assert delays["0"] > 0
        for worker in workers_of(service):
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: ready(service.http) == 200)
        wait_for(lambda: sum(told("gtcrn_active_streams").values()) == 0)  # they are gone with their workers
        assert told("gtcrn_streams_total") == opened
        assert told("gtcrn_queue_delay_seconds_count")["0"] >= delays["0"]


def metrics(service: Serving) -> str:
    return httpx.get(f"{service.http}/metrics").text


def both_serve(service: Serving) -> None:
    """Until the metrics tell of two workers."""
    wait_for(lambda: ready(service.http) == 200)
    wait_for(lambda: metrics(service).count("gtcrn_real_time_factor{") == 2)


def workers_of(service: Serving) -> list[int]:
    return [pid for pid in children(service.process.pid) if b"spawn_main" in command_line(pid)]


def test_a_worker_that_dies_is_replaced(weights: Path) -> None:
    with serving(weights, "--workers", "2") as service:
        wait_for(lambda: ready(service.http) == 200)
        old = workers_of(service)
        assert len(old) == 2
        for worker in old:
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(new := workers_of(service)) == 2 and not set(old) & set(new))
        wait_for(lambda: ready(service.http) == 200)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_is_left_behind(weights: Path, number: signal.Signals) -> None:
    with serving(weights, "--workers", "2", drain_seconds=1) as service:
        wait_for(lambda: ready(service.http) == 200)
        workers = workers_of(service)
        assert len(workers) == 2
        service.process.send_signal(number)
        wait_for(lambda: not any(b"spawn_main" in command_line(worker) for worker in workers))


def test_a_worker_that_hangs_does_not_hold_up_the_metrics(weights: Path) -> None:
    with serving(weights, "--workers", "2") as service:
        both_serve(service)
        hung = workers_of(service)[0]
        os.kill(hung, signal.SIGSTOP)
        try:
            told = httpx.get(f"{service.http}/metrics", timeout=PATIENCE)
            assert told.text.count("gtcrn_real_time_factor{") == 2  # what it said last
        finally:
            os.kill(hung, signal.SIGCONT)


def test_any_worker_takes_a_call_of_audiosocket(weights: Path) -> None:
    """One that hangs keeps none waiting, whichever it is; the words of a call reach the bot to its hangup."""
    words, place = b"\1\0\x10" + bytes(16) + b"\x10\0\2ab" + b"\0\0\0", free_port()
    with socket.create_server(("127.0.0.1", 0)) as line:
        line.settimeout(PATIENCE)
        bot = f"127.0.0.1:{line.getsockname()[1]}"
        with serving(weights, "--workers", "2", audiosocket_port=place, audiosocket_bot=bot) as service:
            both_serve(service)
            for hung in workers_of(service):
                os.kill(hung, signal.SIGSTOP)
                try:
                    for _ in range(4):
                        with socket.create_connection(("127.0.0.1", place), PATIENCE) as call:
                            call.sendall(words)
                            heard, _ = line.accept()
                            with heard, heard.makefile("rb") as stream:
                                assert stream.read(19) == words[:19]
                                assert stream.read()[-3:] == b"\0\0\0"
                finally:
                    os.kill(hung, signal.SIGCONT)


DEAD: Any = SimpleNamespace(exitcode=-9, pid=7)


def test_the_pauses_grow_while_a_worker_does_not_live(capsys: pytest.CaptureFixture[str]) -> None:
    ended: list[int] = []
    slot, now, pauses = Slot(0, (), ended.append), 100.0, []
    for _ in range(8):
        slot._process, slot._started = DEAD, now
        slot.look(now)
        pauses.append(slot._due - now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    slot._process = DEAD
    slot.look(now + 61)
    assert slot._due == now + 62
    assert capsys.readouterr().err.count("\n") == 9
    assert ended == [7] * 9


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_tried_again(weights: Path, tmp_path: Path) -> None:
    gone = tmp_path / "w.safetensors"
    gone.write_bytes(weights.read_bytes())
    with serving(gone, "--workers", "2") as service, subprocess_errors(service) as lines:
        wait_for(lambda: ready(service.http) == 200)
        gone.unlink()
        for worker in workers_of(service):
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: sum("cannot start: no weights" in line for line in lines) >= 2, 40)
        ended = [line for line in lines if "starts again in 1 s" in line]
        assert len(ended) == 2
        assert all(line.startswith("gtcrn: worker ") for line in lines)
        gone.write_bytes(weights.read_bytes())
        wait_for(lambda: ready(service.http) == 200, 40)


@contextlib.contextmanager
def subprocess_errors(service: Serving) -> Iterator[list[str]]:
    """The lines that the service writes to standard error, as they come."""
    lines: list[str] = []
    stream = service.process.stderr
    assert stream is not None
    threading.Thread(target=lambda: lines.extend(iter(stream.readline, "")), daemon=True).start()
    yield lines
