"""What the service answers where it has no such method, query parameter or file; the interface in a browser."""

from collections.abc import Iterator

import httpx
import pytest
from serving import running

from gtcrn import Denoiser
from gtcrn_server.headers import HEADERS


@pytest.fixture(scope="module")
def client(denoiser: Denoiser) -> Iterator[httpx.Client]:
    with running(denoiser) as service, httpx.Client(base_url=service.http, follow_redirects=True) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/denoise", "POST"),
        ("DELETE", "/v1/denoise/pcm", "POST"),
        ("POST", "/v1/info", "GET"),
        ("DELETE", "/healthz", "GET"),
        ("POST", "/openapi.json", "GET"),
        ("PUT", "/v1/streams/some-one", "DELETE, GET, PATCH"),
        ("POST", "/index.html", "GET, HEAD"),
        ("PUT", "/docs/", "GET, HEAD"),
    ],
)
def test_another_method_is_told_which_there_are(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["code"] == "http"


def test_nothing_is_there_for_any_method(client: httpx.Client) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = client.request(method, "/nothing")
        assert (answer.status_code, "allow" in answer.headers) == (404, False)


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("POST", "/v1/denoise?atenuation_limit=18", "did you mean attenuation_limit"),
        ("POST", "/v1/denoise/pcm?samplerate=16000", "did you mean sample_rate"),
        ("POST", "/v1/denoise?x=1", "there are format, subtype, attenuation_limit"),
        ("POST", "/v1/streams?sample_rate=16000", "sample_rate: there is no such query parameter"),
        ("GET", "/v1/info?verbose=1", "verbose: there is no such query parameter"),
        ("GET", "/healthz?deep=1", "deep: there is no such query parameter"),
        ("GET", "/readyz?deep=1", "deep: there is no such query parameter"),
        ("GET", "/metrics?name[]=up", "name[]: there is no such query parameter"),
        ("GET", "/openapi.json?version=3", "version: there is no such query parameter"),
    ],
)
def test_unknown_query_parameters_are_refused(client: httpx.Client, method: str, path: str, told: str) -> None:
    answer = client.request(method, path, content=b"ab")
    assert (answer.status_code, answer.json()["code"]) == (422, "setting")
    assert told in answer.json()["message"]


def test_known_query_parameters_are_taken(client: httpx.Client) -> None:
    known = "sample_rate=16000&channels=1&encoding=s16le&attenuation_limit=12&bypass=true"
    assert client.post(f"/v1/denoise/pcm?{known}", content=bytes(640)).content == bytes(640)


def test_docs_are_the_services_own_files(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert (page.status_code, page.url.path) == (200, "/docs/")
    assert page.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "http" not in page.text.replace("<!doctype html>", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert client.get(f"/docs/ui/{name}").status_code == 200
