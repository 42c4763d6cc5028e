"""The load generator: it counts right, and it cannot be turned on anybody else."""

import asyncio
import contextlib
import os
import re
from dataclasses import replace

import pytest
import typer
from served import free_port
from serving import END, START, Running, cut, offline, pcm, running, speech, talk, wait_for
from streams import random_denoiser
from typer.testing import CliRunner, Result
from websockets.asyncio.server import ServerConnection, serve

from gtcrn_server.admission import CALL_WEIGHT, weight
from gtcrn_server.load import frames
from gtcrn_server.load import generator as load
from gtcrn_server.load.calls import Call
from gtcrn_server.load.client import Plan, Tally, frame, split_frames
from gtcrn_server.load.hostile import ATTACKS


def test_all_streams_finish_with_all_samples_and_the_rest_is_refused() -> None:
    plan = Plan(streams=12, seconds=0.6)
    with running(random_denoiser(), max_streams=10) as service:
        tally = asyncio.run(load.run(Plan(**{**vars(plan), "port": service.port})))
        assert (tally.finished, tally.refused, tally.failed, tally.missing) == (10, 2, [], 0)
        assert len(tally.lateness) == 10 * plan.messages == 300
        # 600 ms of 20 ms messages: 37 whole frames, of which the last leaves with the tail
        assert len(tally.delays) > 10 * 20
        assert min(tally.delays) >= 0
        assert service.service.telemetry.live_audio.bytes_in == 10 * plan.messages * plan.chunk * 2
        assert tally.answered == pytest.approx(10 * plan.messages)  # what was refused costs no message
        text = load.report(plan, tally)
    assert "12 asked, 10 finished, 2 refused, 0 failed" in text
    assert "samples missing: 0" in text
    assert "unknown a message" in text  # no process was named


def test_calls_reach_the_bot_with_all_they_say_and_the_rest_is_refused() -> None:
    plan = Plan(streams=12, seconds=0.6, path="/v1/twilio", sample_rate=8_000, chunk=160, bot_port=free_port())
    with running(random_denoiser(), max_streams=10, call_bot=f"ws://127.0.0.1:{plan.bot_port}") as service:
        fit = int(10 / (weight(8_000, 1, service.service.denoiser.config.channels) + CALL_WEIGHT))
        tally = asyncio.run(load.run(replace(plan, port=service.port)))
        assert (tally.finished, tally.refused, tally.failed, tally.missing) == (fit, 12 - fit, [], 0)
        assert len(tally.delays) == len(tally.lateness) == fit * plan.messages
        assert min(tally.delays) >= 0
        assert service.service.telemetry.live_audio.bytes_in == fit * plan.messages * plan.chunk * 2


def test_calls_that_find_no_bot_have_failed() -> None:
    plan = Plan(streams=2, seconds=0.1, path="/v1/twilio", sample_rate=8_000, chunk=160, bot_port=free_port())
    with running(random_denoiser(), call_bot=f"ws://127.0.0.1:{free_port()}") as service:
        tally = asyncio.run(load.run(replace(plan, port=service.port)))
    assert tally.failed == ["The bot that calls go to cannot be reached."] * 2
    assert (tally.finished, tally.delays) == (0, [])


def test_what_a_lost_call_message_shifts_is_nothing_and_the_tail_fills_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, tally, came = Plan(chunk=160, bot_port=1), Tally(), list[int]()

    async def call() -> None:
        one = Call(plan, tally, [Call.wrap(bytes(320))])
        monkeypatch.setattr(one, "came", came.append)
        sent = []
        for one.sent in range(10):
            sent.append(bytearray(one._message()))
        one.sent = 10
        texts = [payload for each in sent for _, payload in split_frames(each)]
        tail = [texts[0].replace(b"000000000", str(number).encode(), 1) for number in (10, 11, 12)]
        for text in (*texts[:4], *texts[5:], *tail, b'{"event": "stop"}'):
            one.heard(text)

    asyncio.run(call())
    assert came == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert (tally.finished, tally.missing, tally.answered) == (1, plan.chunk, 9)


def test_a_stream_whose_connection_dies_has_failed() -> None:
    async def die(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('{"type": "ready", "frame": 256, "latency": 512}')
        await connection.recv()
        connection.transport.abort()

    async def run() -> Tally:
        async with serve(die, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await load.run(Plan(port=port, streams=2, seconds=0.1))

    tally = asyncio.run(run())
    assert (tally.finished, tally.failed) == (0, ["The connection was lost."] * 2)
    assert tally.missing >= 2 * 320


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536])
def test_a_message_has_any_length(size: int) -> None:
    sent = bytearray(frame(bytes(size)))
    assert list(split_frames(sent)) == [(2, bytes(size))]
    assert not sent


@pytest.mark.parametrize(
    "plan",
    [
        Plan(host="example.org"),
        Plan(host="10.0.0.1"),
        Plan(streams=1001),
        Plan(streams=0),
        Plan(seconds=601),
        Plan(chunk=0),
    ],
    ids=lambda plan: f"{plan.host} {plan.streams} {plan.seconds} {plan.chunk}",
)
def test_it_is_bounded_and_stays_on_this_machine(plan: Plan) -> None:
    with pytest.raises(ValueError, match=r"loopback|at most|at least"):
        asyncio.run(load.run(plan))


def told(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(load.main)
    return CliRunner().invoke(app, arguments, env={"NO_COLOR": "1", "TERM": "dumb"})


def test_its_command_says_what_it_takes() -> None:
    assert "--streams" in told("--help").output
    refused = told("--streams", "2000")
    assert refused.exit_code == 2
    assert "streams must be 1 to 1000" in refused.output


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_a_hostile_client_takes_what_it_can_and_leaves_nothing(service: Running, name: str) -> None:
    """Beside it a stream gets all of its samples, and afterwards its places are free."""
    _, once = ATTACKS[name]

    async def beside() -> bytes:
        hostile = asyncio.ensure_future(asyncio.wait_for(once(service.port), 0.4))
        audio = (await talk(service.socket, START, *cut(data, (640,)), END)).audio
        with contextlib.suppress(TimeoutError, OSError):
            await hostile
        return audio

    data = pcm(speech(0.5))
    assert asyncio.run(beside()) == offline(random_denoiser(), data)
    wait_for(lambda: not service.service.telemetry.live and not service.service.files.taken)
    assert service.service.places.taken == 0


def test_rest_frames_are_measured(service: Running) -> None:
    told = asyncio.run(frames.run([service.port, service.port], 2, 0.3, [os.getpid()]))
    found = re.fullmatch(r"2 streams: (\d+) frames/s, p50 .* ms, p99 .* ms, longest .* ms; .*: \d+", told)
    assert found
    assert int(found[1]) > 0
    assert service.service.telemetry.live == 0


def test_a_refused_stream_is_told_in_the_words_of_the_service(service: Running) -> None:
    service.service.leaving = True
    try:
        with pytest.raises(RuntimeError, match="shutting down"):
            asyncio.run(frames.run([service.port], 1, 0.1, []))
    finally:
        service.service.leaving = False
