"""Live audio over WebSocket equals the offline result, whatever the pieces and whoever else is there."""

import asyncio
import json

import numpy as np
import pytest
from commands import until
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
            await until(lambda: service.service.telemetry.live == 1)
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
