"""Live audio over WebSocket equals the offline result, whatever the pieces and whoever else is there."""

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
    receive_all,
    running,
    say,
    send_all,
    speech,
    talk,
)
from streams import random_denoiser
from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_now

from gtcrn import Denoiser
from gtcrn.audio.pcm import PcmFormat
from gtcrn_server.service import Service


@pytest.mark.parametrize("sizes", [(640,), (2,), (640, 2, 1000, 7000), (200_000,)], ids=str)
def test_audio_equals_offline_for_every_size_of_message(
    service: Running, denoiser: Denoiser, sizes: tuple[int, ...]
) -> None:
    data = pcm(speech(0.1 if sizes == (2,) else 3))
    answer = say(service.socket, START, *cut(data, sizes), END)
    assert answer.audio == offline(denoiser, data)
    assert answer.code == 1000


def test_audio_equals_offline_under_another_protocol_class(denoiser: Denoiser) -> None:
    """The short way is not there; what clients see is the same."""
    data = pcm(speech(1))
    with running(denoiser, protocol="websockets-sansio") as service:
        assert say(service.socket, START, *cut(data, (640, 6400)), END).audio == offline(denoiser, data)


@pytest.mark.parametrize("samples", [0, 1, 255, 257, 511, 513])
def test_as_many_samples_come_out_as_went_in(service: Running, denoiser: Denoiser, samples: int) -> None:
    data = pcm(speech(1))[: 2 * samples]
    answer = say(service.socket, START, data, END)
    assert answer.audio == offline(denoiser, data)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_other_rates_and_channels(service: Running, denoiser: Denoiser, rate: int) -> None:
    data = pcm(speech(0.5, sample_rate=rate, channels=2))
    start = {"type": "start", "sample_rate": rate, "channels": 2}
    answer = say(service.socket, start, *cut(data, (4 * rate // 50,)), END)
    wanted = np.frombuffer(offline(denoiser, data, rate, 2), "<i2").astype(int)
    got = np.frombuffer(answer.audio, "<i2")
    assert len(got) == len(wanted)
    np.testing.assert_array_equal(got, wanted)
    assert answer.events[0]["latency_ms"] == pytest.approx(1000 * answer.events[0]["latency"] / rate, abs=1e-3)


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


def test_float_samples_pass_unrounded(service: Running, denoiser: Denoiser) -> None:
    samples = speech(0.5)
    answer = say(service.socket, {**START, "encoding": "f32le"}, pcm(samples, "f32le"), END)
    np.testing.assert_array_equal(PcmFormat(16_000, 1, "f32le").decode(answer.audio), denoiser(samples))


def test_nan_is_silence_and_counted(service: Running, denoiser: Denoiser) -> None:
    samples = speech(0.5)
    samples[0, 100:103] = np.nan, np.inf, -np.inf
    answer = say(service.socket, {**START, "encoding": "f32le"}, pcm(samples, "f32le"), END)
    assert np.isfinite(PcmFormat(16_000, 1, "f32le").decode(answer.audio)).all()
    assert answer.events[-1]["nonfinite"] == 3


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


def test_fifty_streams_at_once_each_equal_their_offline_result(service: Running, denoiser: Denoiser) -> None:
    recordings = [pcm(speech(0.6 + i / 100, seed=i)) for i in range(50)]

    async def all_at_once() -> list[bytes]:
        talks = (talk(service.socket, START, *cut(data, (640, 642, 100)), END) for data in recordings)
        return [answer.audio for answer in await asyncio.gather(*talks)]

    assert asyncio.run(all_at_once()) == [offline(denoiser, data) for data in recordings]
    assert service.service.telemetry.live == 0


def test_a_killed_client_frees_its_place_and_others_notice_nothing(service: Running, denoiser: Denoiser) -> None:
    data = pcm(speech(1))

    async def kill_one() -> bytes:
        async with connect(service.socket) as other:
            reading = asyncio.ensure_future(receive_all(other))
            await send_all(other, [START, data[:10_000]])
            victim = await connect(service.socket)
            await send_all(victim, [START, data[:10_001]])
            victim.transport.abort()
            while service.service.telemetry.live != 1:
                await asyncio.sleep(0.01)
            await send_all(other, [data[10_000:], END])
            return (await reading).audio

    assert asyncio.run(kill_one()) == offline(denoiser, data)


def test_the_short_way_is_taken_and_left_for_what_needs_the_long_one(denoiser: Denoiser) -> None:
    """Fragments, pings, marks and huge messages among plain audio: in order, with nothing lost."""
    data = pcm(speech(2))
    pieces = cut(data, (640,))
    with running(denoiser) as service:

        async def mixed() -> bytes:
            async with connect(service.socket, ping_interval=None) as connection:
                reading = asyncio.ensure_future(receive_all(connection))
                await send_all(connection, [START])
                for i, piece in enumerate(pieces[:-20]):
                    await connection.send([piece[:3], piece[3:], b""] if i % 7 == 3 else piece)
                    if i % 11 == 0:
                        await connection.ping()
                    if i % 5 == 0:
                        await asyncio.sleep(0.002)
                await send_all(connection, [{"type": "mark", "id": 0}, b"".join(pieces[-20:]), END])
                return (await reading).audio

        assert asyncio.run(mixed()) == offline(denoiser, data)


def masked(payload: bytes, generator: np.random.Generator, opcode: int = 2, final: bool = True) -> bytes:
    """A client's frame with a random mask, in the shortest form or a longer one."""
    size, mask = len(payload), generator.bytes(4)
    head = bytes([(0x80 if final else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += b"\xfe" + size.to_bytes(2)
    else:
        head += b"\xff" + size.to_bytes(8)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@pytest.mark.parametrize("seed", range(4))
def test_bytes_of_the_connection_may_arrive_in_any_pieces(service: Running, denoiser: Denoiser, seed: int) -> None:
    generator = np.random.default_rng(seed)
    data = pcm(speech(3, seed=seed))
    sizes = [2, 100, 124, 126, 640, 2048, 70_000]
    frames = []
    for piece in cut(data, generator.choice(sizes, 20).tolist()):
        if generator.random() < 0.2:
            cut_at = 2 * (len(piece) // 4)
            frames += [masked(piece[:cut_at], generator, final=False), masked(b"?", generator, opcode=9)]
            frames.append(masked(piece[cut_at:], generator, opcode=0))
        else:
            frames.append(masked(piece, generator))
    frames.append(masked(json.dumps(END).encode(), generator, opcode=1))
    with connect_now(service.socket, compression=None) as connection:
        connection.send(json.dumps(START))
        for piece in cut(b"".join(frames), generator.choice([1, 2, 7, 700, 5000, 90_000], 50).tolist()):
            connection.socket.sendall(piece)
        got = [message for message in connection if isinstance(message, bytes)]
    assert b"".join(got) == offline(denoiser, data)


def test_two_apps_in_one_process_are_independent(denoiser: Denoiser) -> None:
    data = pcm(speech(0.3))
    other = random_denoiser(seed=1)
    with running(denoiser) as one, running(other, max_streams=1) as two:
        assert say(one.socket, START, data, END).audio == offline(denoiser, data)
        assert say(two.socket, START, data, END).audio == offline(other, data)
        assert isinstance(one.service, Service)
        assert one.service.telemetry.opened["websocket"] == 1
        assert two.service.telemetry.opened["websocket"] == 1


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
