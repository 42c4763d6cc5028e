"""The load generator: it counts right, and it cannot be turned on anybody else."""

import asyncio
import contextlib
import os
import re
from dataclasses import replace

import pytest
from served import free_port
from serving import END, START, Running, cut, offline, pcm, running, speech, talk, wait_for
from streams import random_denoiser
from typer.testing import CliRunner

from gtcrn_server.admission import CALL_WEIGHT, weight
from gtcrn_server.load import frames
from gtcrn_server.load import generator as load
from gtcrn_server.load.client import Plan
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


@pytest.mark.parametrize(
    "plan",
    [Plan(host="example.org"), Plan(host="10.0.0.1"), Plan(streams=1001), Plan(streams=0), Plan(seconds=601)],
    ids=lambda plan: f"{plan.host} {plan.streams} {plan.seconds}",
)
def test_it_is_bounded_and_stays_on_this_machine(plan: Plan) -> None:
    with pytest.raises(ValueError, match=r"loopback|at most"):
        asyncio.run(load.run(plan))


def test_its_command_says_what_it_takes() -> None:
    import typer

    app = typer.Typer()
    app.command()(load.main)
    assert "--streams" in CliRunner().invoke(app, ["--help"], env={"NO_COLOR": "1", "TERM": "dumb"}).output


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
