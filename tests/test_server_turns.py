"""What is due comes first; what is ahead of real time gets what is left over, and what it is due when nothing is."""

import asyncio
import json
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from serving import END, START, offline, pcm, running, say, speech, wait_for
from websockets.sync.client import connect

from gtcrn import Denoiser, Stream
from gtcrn_server.live import Live
from gtcrn_server.messages import Options
from gtcrn_server.telemetry import Telemetry
from gtcrn_server.turns import BURST, LEAST, TOLERANCE, Turns, new_pace


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_stream_may_be_ahead_by_a_burst_and_no_more(clock: Clock) -> None:
    pace = new_pace()
    slices = 0
    while not pace.take(0.02, clock.now):
        slices += 1
    assert slices == int(BURST * TOLERANCE / 0.02)


def test_what_is_refused_is_due_when_it_was_said_to_be(clock: Clock) -> None:
    pace = new_pace()
    while not (wait := pace.take(0.064, clock.now)):
        pass
    clock.now += wait - 1e-6
    assert pace.take(0.064, clock.now) > 0
    clock.now += 2e-6
    assert pace.take(0.064, clock.now) == 0


def test_real_time_is_due_for_ever_even_to_a_clock_that_is_fast(clock: Clock) -> None:
    pace = new_pace()
    for _ in range(100_000):
        clock.now += 0.02 / 1.01
        assert pace.take(0.02, clock.now) == 0


def test_silence_saves_no_more_than_a_burst(clock: Clock) -> None:
    pace = new_pace()
    clock.now += 3600
    assert pace.take(BURST * TOLERANCE + 0.01, clock.now) > 0


def test_the_shortest_message_costs_something(clock: Clock) -> None:
    pace = new_pace()
    free = 0
    while not pace.take(1 / 16_000, clock.now):
        free += 1
    assert free <= BURST * TOLERANCE / LEAST


@pytest.mark.parametrize(("channels", "rate", "milliseconds"), [(32, 16_000, 20), (40, 11_025, 6), (1, 48_000, 69)])
def test_a_wide_stream_in_real_time_is_due_for_ever(
    denoiser: Denoiser, clock: Clock, channels: int, rate: int, milliseconds: int
) -> None:
    options = Options(sample_rate=rate, channels=channels)
    stream = denoiser.stream(rate, channels)
    live = Live("0-x", options, stream, denoiser.config, Telemetry(0, None), Turns(), None)
    message = bytes(rate * milliseconds // 1000 * live.width)
    for _ in range(60_000 // milliseconds):
        clock.now += len(message) / live.bytes_per_second
        pieces = list(live.slices(message))
        assert b"".join(pieces) == message
        assert not any(live.pace.take(len(piece) / live.bytes_per_second, clock.now) for piece in pieces)


def spin(turns: Turns, times: int) -> Iterator[None]:
    """Pretend that audio was due so often, once each time the loop looks for input."""
    for _ in range(times):
        turns.due += 1
        yield


def test_nothing_ahead_is_worked_on_while_audio_is_due() -> None:
    async def scene() -> list[str]:
        turns, order = Turns(), []
        turns.ask(lambda idle: order.append("ahead"), wait=60)
        for _ in spin(turns, 50):
            await asyncio.sleep(0)
            order.append("due")
        await asyncio.sleep(0.01)
        return order

    assert asyncio.run(scene()) == ["due"] * 50 + ["ahead"]


def test_one_piece_at_a_time_in_the_order_of_asking() -> None:
    async def scene() -> tuple[list[int], list[int]]:
        turns, order, each = Turns(), list[int](), list[int]()

        def note(number: int, idle: bool) -> None:
            order.append(number)

        for i in range(5):
            turns.ask(partial(note, i), wait=60)
        while len(order) < 5:
            before = len(order)
            await asyncio.sleep(0)
            each.append(len(order) - before)
        return order, each

    order, each = asyncio.run(scene())
    assert order == [0, 1, 2, 3, 4]
    assert max(each) == 1


def test_who_waits_long_enough_has_its_turn_even_while_audio_is_due() -> None:
    async def scene() -> bool:
        turns, had = Turns(), list[bool]()
        turns.ask(had.append, wait=0.01)
        while not had:
            turns.due += 1
            await asyncio.sleep(0)
        return had[0]

    assert asyncio.run(scene()) is False


def test_audio_ahead_gets_real_time_and_no_more_while_others_are_due() -> None:
    """Ten seconds of audio, a busy service: after 0.3 s no more than burst and real time have been worked on."""

    async def scene() -> float:
        turns, done = Turns(), 0.0
        pace = new_pace()

        async def flood() -> None:
            nonlocal done
            while done < 10:
                await turns.pace(pace, 0.05)
                done += 0.05

        flooding = asyncio.create_task(flood())
        end = asyncio.get_running_loop().time() + 0.3
        while asyncio.get_running_loop().time() < end:
            turns.due += 1
            await asyncio.sleep(0)
        flooding.cancel()
        return done

    assert BURST <= asyncio.run(scene()) <= (BURST + 0.3) * TOLERANCE + 0.06


def test_who_is_gone_has_no_turn() -> None:
    async def scene() -> list[bool]:
        turns, had = Turns(), list[bool]()
        waiting = asyncio.create_task(turns.turn(60))
        await asyncio.sleep(0)
        turns.due += 1
        waiting.cancel()
        turns.ask(had.append, 60)
        await asyncio.sleep(0.01)
        assert waiting.cancelled()
        return had

    assert asyncio.run(scene()) == [True]


@pytest.mark.parametrize(("channels", "beside"), [(1, False), (12, True)])
def test_the_tail_of_a_wide_stream_is_made_beside_the_event_loop(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch, channels: int, beside: bool
) -> None:
    threads: list[threading.Thread] = []
    flush = Stream.flush_pcm16

    def noted(self: Stream) -> bytes:
        threads.append(threading.current_thread())
        return flush(self)

    monkeypatch.setattr(Stream, "flush_pcm16", noted)
    data = pcm(speech(0.3, channels=channels))
    with running(denoiser) as service:
        answer = say(service.socket, {**START, "channels": channels}, data, {"type": "reset"}, data, END)
        assert [thread is not service.thread for thread in threads] == [beside, beside]
    assert (answer.code, answer.audio) == (1000, 2 * offline(denoiser, data, channels=channels))


def test_a_tail_that_is_interrupted_is_the_end_of_the_stream(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, flush = threading.Event(), threading.Event(), Stream.flush_pcm16

    def slow(self: Stream) -> bytes:
        begun.set()
        assert go_on.wait(10)
        return flush(self)

    monkeypatch.setattr(Stream, "flush_pcm16", slow)
    with running(denoiser, drain_seconds=0) as service, connect(service.socket) as connection:
        for message in ({**START, "channels": 12}, END):
            connection.send(json.dumps(message))
        assert begun.wait(10)
        service.stop()
        wait_for(lambda: any(session.reason for session in service.service.sessions))
        go_on.set()
        codes = [json.loads(message).get("code") for message in connection if isinstance(message, str)]
        assert (connection.close_code, codes[-1]) == (1001, "leaving")
