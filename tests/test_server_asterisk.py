"""Asterisk's chan_websocket through the service, between a driver and a bot that are written here.

No Asterisk was there: what it sends is written after the description of its protocol, in both of its formats.
"""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from calls import bot, closed, codes, delayed, denoised, said
from commands import PATIENCE
from serving import cut, pcm, running, settings, speech, wait_for
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from gtcrn import Denoiser
from gtcrn_server.service import Service
from gtcrn_server.transports.asterisk import ChanWebSocket
from gtcrn_server.transports.relay import RelaySocket

MEDIA = Subprotocol("media")
CHANNEL = "WebSocket/bot/0x7f2c:1"  # a colon within a value


def plain(form: str) -> str:
    return (
        f"MEDIA_START connection_id:bot channel:{CHANNEL} channel_id:17.1 format:{form} optimal_frame_size:320 ptime:20"
    )


def in_json(form: str) -> str:
    variables = {"MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE": "320"}
    event = {"event": "MEDIA_START", "channel": CHANNEL, "format": form, "ptime": 20, "channel_variables": variables}
    return json.dumps(event, separators=(",", ":"))


@pytest.mark.parametrize(
    ("start", "form", "rate"),
    [(plain, "slin", 8_000), (in_json, "slin16", 16_000), (plain, "slin44", 44_100), (in_json, "slin48", 48_000)],
)
def test_the_bot_hears_the_caller_to_the_last_sample(denoiser: Denoiser, start: Any, form: str, rate: int) -> None:
    data, size = pcm(speech(0.3, sample_rate=rate)), 2 * (rate // 50)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    first, digit = start(form), "DTMF_END digit:5 channel_id:17.1"
    with bot(raw=True) as one, running(denoiser, asterisk_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/asterisk") as call:
            said(call, first, *pieces[:3], digit, *pieces[3:])
        assert one.gone.wait(PATIENCE)  # a call of Asterisk ends by its connection
        assert service.service.telemetry.opened["asterisk"] == 1
        wait_for(lambda: not service.service.telemetry.live)
    assert (one.heard.pop(0), one.heard.pop(3)) == (first, digit)
    assert b"".join(one.heard) == delayed(denoiser, data, rate, len(pieces[-1]))
    assert [len(piece) for piece in one.heard[: len(pieces)]] == [len(piece) for piece in pieces]


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_laws_of_the_telephone(denoiser: Denoiser, law: str) -> None:
    data = codes(0.4, law)
    with bot(raw=True) as one, running(denoiser, asterisk_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/asterisk") as call:
            said(call, plain(law), *(data[at : at + 160] for at in range(0, len(data), 160)))
        assert one.gone.wait(PATIENCE)
    assert b"".join(one.heard[1:]) == denoised(denoiser, data, law, 160)


def test_what_the_bot_says_and_commands_reaches_asterisk_unchanged(denoiser: Denoiser) -> None:
    """Commands in either format, media longer than a frame, and what the driver answers."""
    words = ["ANSWER", "START_MEDIA_BUFFERING", bytes(range(256)) * 255, "STOP_MEDIA_BUFFERING 7", "FLUSH_MEDIA"]
    words += ['{ "command" : "MARK_MEDIA", "correlation_id": "a" }', "HANGUP"]
    with bot(raw=True) as one, running(denoiser, asterisk_bot=one.url) as service:
        one.words = words
        with connect(f"ws://127.0.0.1:{service.port}/v1/asterisk") as call:
            said(call, plain("slin16"))
            assert [call.recv(PATIENCE) for _ in words] == words
            said(call, "MEDIA_XOFF", '{"event":"MEDIA_XON"}', "MEDIA_BUFFERING_COMPLETED 7")
            wait_for(lambda: len(one.heard) == 4)
    assert one.heard[1:] == ["MEDIA_XOFF", '{"event":"MEDIA_XON"}', "MEDIA_BUFFERING_COMPLETED 7"]


@pytest.mark.parametrize(
    ("message", "code", "told"),
    [
        (bytes(320), 1003, "A call must begin with MEDIA_START."),
        ("", 1003, "A call must begin with MEDIA_START."),
        ("{", 1003, "A call must begin with MEDIA_START."),
        ('{"event": ["MEDIA_START"]}', 1003, "A call must begin with MEDIA_START."),
        ("[" * 100_000, 1003, "A call must begin with MEDIA_START."),
        (plain("opus"), 1008, "Audio must be slin, slin12 to slin192, ulaw or alaw, not opus."),
        (plain("x" * 1000), 1008, f"Audio must be slin, slin12 to slin192, ulaw or alaw, not {'x' * 20}."),
        ('{"event": "MEDIA_START"}', 1008, "Audio must be slin, slin12 to slin192, ulaw or alaw, not None."),
    ],
    ids=[str(i) for i in range(8)],
)
def test_what_is_no_call_is_told_in_the_close(denoiser: Denoiser, message: str | bytes, code: int, told: str) -> None:
    with bot(raw=True) as one, running(denoiser, asterisk_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/asterisk") as call:
            said(call, message)
            assert closed(call) == (code, told)
        wait_for(lambda: not service.service.telemetry.live)
        with connect(f"ws://127.0.0.1:{service.port}/v1/asterisk") as call:
            said(call, plain("slin16"), b"\0")
            assert closed(call) == (1007, "1 bytes are no whole number of 2-byte samples.")


def test_the_key_is_the_password_and_the_subprotocol_goes_through(denoiser: Denoiser) -> None:
    """As `username`, `password` and `protocols` of Asterisk's websocket_client.conf send them."""
    with (
        bot(raw=True, subprotocols=[MEDIA]) as one,
        running(denoiser, asterisk_bot=one.url, api_keys=("right",)) as service,
    ):
        for wrong in ("asterisk:wrong@", "right:@", ""):
            with connect(f"ws://{wrong}127.0.0.1:{service.port}/v1/asterisk") as call:
                said(call, plain("slin"))
                assert closed(call)[0] == 1008
        with connect(f"ws://asterisk:right@127.0.0.1:{service.port}/v1/asterisk", subprotocols=[MEDIA]) as call:
            said(call, plain("slin"))
            wait_for(lambda: bool(one.heard))
            assert (call.subprotocol, one.subprotocol) == ("media", "media")


def test_the_bot_is_the_settings_alone(denoiser: Denoiser) -> None:
    """Parameters that a dial string adds to the address are told to be of no use; without a bot there is no place."""
    with bot(raw=True) as one, running(denoiser, asterisk_bot=one.url) as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/asterisk?bot=ws://elsewhere/") as call:
            assert closed(call) == (1008, "bot: there is no such query parameter.")
        assert not one.heard
    with running(denoiser) as service, pytest.raises(Exception, match=r"403|404"):
        connect(f"ws://127.0.0.1:{service.port}/v1/asterisk")


def test_a_caller_is_heard_to_the_end_though_the_bot_talks_to_who_is_gone(denoiser: Denoiser) -> None:
    """The bot's word fails before the call knows of the end."""
    data = pcm(speech(0.2))

    async def call(url: str) -> None:
        service, failed, incoming = Service(settings(), denoiser), asyncio.Event(), asyncio.Queue[dict[str, Any]]()

        async def send(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "websocket.send":
                failed.set()
                raise OSError

        incoming.put_nowait({"type": "websocket.connect"})
        incoming.put_nowait({"type": "websocket.receive", "text": plain("slin16")})
        await service.start()
        ending = asyncio.ensure_future(RelaySocket(service, ChanWebSocket, url)({"headers": []}, incoming.get, send))
        await failed.wait()
        await asyncio.sleep(0.05)  # time enough to end the call for it
        for piece in cut(data, (640,)):
            incoming.put_nowait({"type": "websocket.receive", "bytes": piece})
        incoming.put_nowait({"type": "websocket.disconnect"})
        await ending
        await service.stop()

    with bot(raw=True) as one:
        one.words = ["ANSWER"]
        asyncio.run(call(one.url))
        assert one.gone.wait(PATIENCE)
    assert b"".join(one.heard[1:]) == delayed(denoiser, data, 16_000, 640)
