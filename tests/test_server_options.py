"""What is said beside the audio: start, set, reset, mark, levels, and what ready and done tell."""

import asyncio
import json

import numpy as np
import pytest
from serving import (
    END,
    START,
    Running,
    cut,
    offline,
    pcm,
    running,
    say,
    send_all,
    speech,
)
from websockets.asyncio.client import connect

from gtcrn import Denoiser
from gtcrn.audio.pcm import PcmFormat


def test_ready_tells_frame_and_latency_that_hold(service: Running) -> None:
    async def first_audio() -> tuple[dict[str, object], int, int]:
        async with connect(service.socket) as connection:
            await connection.send(json.dumps(START))
            ready = json.loads(await connection.recv())
            data = pcm(speech(0.2))
            for sent in range(1, ready["latency"] + 1):
                await connection.send(data[2 * sent - 2 : 2 * sent])
            await connection.send(json.dumps({"type": "mark", "id": 1}))
            return ready, sent, len(await connection.recv()) // 2

    ready, sent, got = asyncio.run(first_audio())
    assert (ready["frame"], ready["latency"], ready["latency_ms"]) == (256, 512, 32.0)
    assert (sent, got) == (512, 256)


def test_done_tells_seconds_and_real_time_factor(service: Running) -> None:
    done = say(service.socket, START, pcm(speech(1.5)), END).events[-1]
    assert done["seconds"] == 1.5
    assert 0 < done["real_time_factor"] < 10


def test_options_of_start_are_those_of_the_library(service: Running, denoiser: Denoiser) -> None:
    data = pcm(speech(0.5))
    limited = say(service.socket, {**START, "attenuation_limit": 6}, data, END)
    bypassed = say(service.socket, {**START, "bypass": True}, data, END)
    assert limited.audio == offline(denoiser, data, attenuation_limit=6)
    assert bypassed.audio == data
    full = {"sample_rate": 48_000, "keep_highs": True}
    kept = say(service.socket, {**START, **full}, data, END).audio
    assert kept == offline(denoiser, data, **full)
    assert (
        say(service.socket, {**START, "sample_rate": 48_000}, {"type": "set", "keep_highs": True}, data, END).audio
        == kept
    )


def test_set_changes_between_two_samples(service: Running, denoiser: Denoiser) -> None:
    data = pcm(speech(2))
    half = len(data) // 2
    answer = say(service.socket, START, data[:half], {"type": "set", "bypass": True}, data[half:], END)
    form = PcmFormat(16_000, 1, "s16le")
    stream = denoiser.stream()
    parts = [stream.push(form.decode(data[:half]))]
    stream.bypass = True
    parts += [stream.push(form.decode(data[half:])), stream.flush()]
    assert answer.audio == form.encode(np.concatenate(parts, axis=1))[0]
    assert answer.audio[-half // 2 :] == data[-half // 2 :]


def test_set_leaves_what_it_does_not_name(service: Running, denoiser: Denoiser) -> None:
    data = pcm(speech(0.5))
    answer = say(service.socket, {**START, "attenuation_limit": 6}, {"type": "set", "bypass": False}, data, END)
    assert answer.audio == offline(denoiser, data, attenuation_limit=6)


def test_reset_gives_the_tail_and_begins_anew(service: Running, denoiser: Denoiser) -> None:
    first, second = pcm(speech(0.5, seed=1)), pcm(speech(0.5, seed=2))
    answer = say(service.socket, START, first, {"type": "reset"}, second, END)
    assert answer.audio == offline(denoiser, first) + offline(denoiser, second)
    assert answer.events[-1]["seconds"] == 1.0


def test_mark_comes_back_behind_the_audio_before_it(service: Running) -> None:
    async def order() -> list[tuple[str, int]]:
        data, seen = pcm(speech(0.5)), 0
        log: list[tuple[str, int]] = []
        async with connect(service.socket) as connection:
            await send_all(connection, [START, data[:8000], {"type": "mark", "id": "here"}, data[8000:], END])
            async for message in connection:
                seen += len(message) if isinstance(message, bytes) else 0
                if isinstance(message, str) and json.loads(message)["type"] == "mark":
                    log.append((json.loads(message)["id"], seen))
        return log

    [(name, seen)] = asyncio.run(order())
    assert name == "here"
    assert 8000 <= seen <= 8000 + 2 * 1024


def test_mark_is_answered_at_the_end_at_the_latest(service: Running) -> None:
    answer = say(service.socket, START, pcm(speech(0.1)), {"type": "mark", "id": 7}, END)
    assert [event["type"] for event in answer.events] == ["ready", "mark", "done"]


def test_a_query_in_the_address_is_refused_as_an_unknown_field_is(service: Running) -> None:
    answer = say(f"{service.socket}?sample_rate=48000", START, pcm(speech(0.1)), END)
    told = "sample_rate: there is no such query parameter; options belong into the start message."
    assert answer.events == [{"type": "error", "code": "setting", "message": told}]
    assert (answer.code, answer.reason, answer.audio) == (1008, told, b"")


@pytest.mark.parametrize("protocol", [None, "websockets-sansio"])
def test_levels_come_every_96_ms_where_they_are_asked_for(denoiser: Denoiser, protocol: str | None) -> None:
    data = pcm(speech(1))
    with running(denoiser, protocol=protocol) as service:
        answer = say(service.socket, {**START, "levels": True}, *cut(data, (640,)), END)
        silent = say(service.socket, START, *cut(data, (640,)), END)
    told = [event for event in answer.events if event["type"] == "levels"]
    assert 7 <= len(told) <= 10
    assert answer.audio == silent.audio == offline(denoiser, data)
    assert set(told[0]) == {"type", "speech", "noise", "reduction"}
    assert all(0 <= event["speech"] <= 1 and -90 <= event["noise"] < 0 for event in told)
    assert "levels" not in [event["type"] for event in silent.events]
