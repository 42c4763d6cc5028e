"""Keys and the origins of pages, over every way in."""

import json

import httpx
import pytest
from serving import (
    END,
    START,
    running,
    say,
)
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_now
from websockets.typing import Subprotocol

from gtcrn import Denoiser


def test_keys(denoiser: Denoiser) -> None:
    with running(denoiser, api_keys="one,two") as service:
        url = f"{service.http}/v1/streams"
        without, wrong = httpx.post(url), httpx.post(url, headers={"Authorization": "Bearer three"})
        assert (without.status_code, wrong.status_code) == (401, 401)
        assert without.headers["www-authenticate"] == "Bearer"
        assert httpx.post(url, content=bytes(300_000)).status_code == 401  # before the body is read and found too long
        assert httpx.post(url, headers={"Authorization": "Bearer two"}).status_code == 201
        assert httpx.get(f"{service.http}/healthz").status_code == 200
        assert say(service.socket, START, END).code == 1008
        assert say(service.socket, START, END, additional_headers={"Authorization": "Bearer x"}).code == 1008
        assert say(service.socket, START, END, additional_headers={"Authorization": "Bearer one"}).code == 1000
        assert (
            say(service.socket, START, END, subprotocols=[Subprotocol("gtcrn"), Subprotocol("key.wrong")]).code == 1008
        )
        with connect_now(service.socket, subprotocols=[Subprotocol("gtcrn"), Subprotocol("key.two")]) as connection:
            assert connection.subprotocol == "gtcrn"
            connection.send(json.dumps(START))
            assert json.loads(connection.recv())["type"] == "ready"


@pytest.mark.parametrize(
    ("origin", "allowed", "welcome"),
    [
        ("same", "", True),
        ("https://elsewhere.example", "", False),
        ("https://elsewhere.example", "https://elsewhere.example", True),
        ("https://elsewhere.example", "*", True),
        ("null", "https://elsewhere.example", False),
    ],
)
def test_origins_of_pages(denoiser: Denoiser, origin: str, allowed: str, welcome: bool) -> None:
    with running(denoiser, allowed_origins=allowed) as service:
        headers = {"Origin": service.http if origin == "same" else origin}
        if welcome:
            assert say(service.socket, START, END, additional_headers=headers).code == 1000
        else:
            with pytest.raises(InvalidStatus, match="403"):
                say(service.socket, START, END, additional_headers=headers)
        cors = httpx.get(f"{service.http}/v1/info", headers=headers).headers.get("access-control-allow-origin")
        assert (cors is not None) == (welcome and origin != "same")
