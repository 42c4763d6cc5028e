"""Who may do what: keys fail closed, foreign pages and names are refused, status is told to those it is for."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from serving import END, START, Running, running, say, settings
from websockets.exceptions import InvalidStatus

from gtcrn import Denoiser
from gtcrn.cli import app as cli
from gtcrn_server.settings import describe


@pytest.mark.parametrize("keys", ["", " ", ",", "one,", "one,,two", "one, "])
def test_a_blank_key_is_refused(keys: str) -> None:
    with pytest.raises(ValidationError, match="holds no key, or a blank one"):
        settings(api_keys=keys)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gtcrn.example"])
def test_the_world_is_served_with_keys_or_on_purpose(host: str) -> None:
    with pytest.raises(ValidationError, match="GTCRN_ALLOW_ANONYMOUS=true"):
        settings(host=host)
    assert settings(host=host, api_keys="secret").api_keys == ("secret",)
    assert settings(host=host, allow_anonymous=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_needs_no_key(host: str) -> None:
    assert settings(host=host).api_keys == ()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GTCRN_API_KEY", "secret", "GTCRN_API_KEY is no setting; did you mean GTCRN_API_KEYS?"),
        ("gtcrn_nonsense", "1", "gtcrn_nonsense is no setting; `gtcrn serve --help` lists all."),
        ("GTCRN_API_KEYS", "", "GTCRN_API_KEYS: holds no key, or a blank one; "),
        (
            "GTCRN_TRUSTED_PROXIES",
            "10.0.0.1/8",
            "GTCRN_TRUSTED_PROXIES: 10.0.0.1/8 is neither an address nor a network",
        ),
        ("GTCRN_AUDIOSOCKET_CLIENTS", "*", "GTCRN_AUDIOSOCKET_CLIENTS: * is neither an address nor a network such as"),
        ("GTCRN_HOST", "0.0.0.0", "listening on 0.0.0.0 without GTCRN_API_KEYS would serve anybody; "),
    ],
)
def test_the_start_is_refused_in_one_line(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GTCRN_SHARED", raising=False)  # of these tests, no setting
    monkeypatch.setenv(name, value)
    assert cli.run(["serve", "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert len(told.splitlines()) == 1


def test_the_help_shows_defaults_as_they_are_written() -> None:
    assert "  GTCRN_TRUSTED_PROXIES=127.0.0.1,::1\n" in describe()
    assert "  GTCRN_API_KEYS=\n" in describe()
    assert "  GTCRN_ALLOW_ANONYMOUS=False\n" in describe()


CHANGES = [("POST", "/v1/streams"), ("POST", "/v1/denoise"), ("POST", "/v1/denoise/pcm"), ("DELETE", "/v1/streams/0-x")]
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://127.0.0.1:PORT"},  # the scheme differs
    {"Origin": "http://127.0.0.1"},  # the port differs
    {"Sec-Fetch-Site": "cross-site"},
]


@pytest.fixture(scope="module")
def service(denoiser: Denoiser) -> Iterator[Running]:
    with running(denoiser, allowed_origins="https://friend.example", allowed_hosts="gtcrn.example") as instance:
        yield instance


def opened(service: Running) -> int:
    """Streams so far: other tests of this file may run in another process."""
    return service.service.telemetry.opened.total()


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_foreign_pages_change_nothing(service: Any, method: str, path: str, headers: dict[str, str]) -> None:
    sent = {name: value.replace("PORT", str(service.port)) for name, value in headers.items()}
    before = opened(service)
    answer = httpx.request(method, service.http + path, headers={**sent, "Content-Type": "text/plain"}, content=b"")
    assert (answer.status_code, answer.json()["code"]) == (403, "origin")
    assert opened(service) == before


def test_own_and_allowed_pages_and_programs_may(service: Any) -> None:
    before = opened(service)
    for origin in (service.http, "https://friend.example", None):
        headers = {"Origin": origin} if origin else {}
        assert httpx.post(f"{service.http}/v1/streams", headers=headers).status_code == 201
    assert opened(service) == before + 3


@pytest.mark.parametrize(
    ("host", "welcome"),
    [
        ("evil.example", False),
        ("localhost.evil.example:8000", False),
        ("", False),
        ("localhost:1", True),
        ("[::1]:8000", True),
        ("10.1.2.3:8000", True),
        ("gtcrn.example", True),
        ("GTCRN.example:443", True),
    ],
)
def test_names_that_the_service_does_not_go_by(service: Any, host: str, welcome: bool) -> None:
    """A page of a name that was pointed here (DNS rebinding) is of the same origin as the service, for its browser."""
    assert httpx.get(f"{service.http}/healthz", headers={"Host": host}).status_code == (200 if welcome else 403)
    if not welcome:
        before = opened(service)
        with pytest.raises(InvalidStatus, match="403"):
            say(service.socket, START, END, additional_headers={"Host": host, "Origin": f"http://{host}"})
        assert opened(service) == before


def test_the_scheme_is_what_a_trusted_proxy_says(service: Any) -> None:
    headers = {"Host": "gtcrn.example", "Origin": "https://gtcrn.example"}
    refused = httpx.delete(f"{service.http}/v1/streams/0-x", headers=headers)
    assert refused.status_code == 403
    told = httpx.delete(f"{service.http}/v1/streams/0-x", headers={**headers, "X-Forwarded-Proto": "https"})
    assert told.status_code == 404


STATUS = ("/metrics", "/v1/info", "/openapi.json")


@pytest.mark.parametrize("needed", [True, False])
def test_status_is_for_those_with_a_key_unless_set_otherwise(denoiser: Denoiser, needed: bool) -> None:
    with running(denoiser, api_keys="one", status_needs_key=needed) as service:
        for path in STATUS:
            assert httpx.get(service.http + path).status_code == (401 if needed else 200)
            assert httpx.get(service.http + path, headers={"Authorization": "Bearer one"}).status_code == 200
        for path in ("/healthz", "/readyz", "/"):
            assert httpx.get(service.http + path).status_code == 200
