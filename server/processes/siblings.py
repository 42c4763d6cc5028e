"""Several workers behind one port: requests find the worker that holds their stream, and one scrape sees all workers.

Each worker also listens on a loopback port that its siblings know. A REST stream's id begins with the number of its
worker; a request that arrives elsewhere is passed on. WebSocket streams and files live in the connection that brought
them and need none of this.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.limits import bounded
from gtcrn_server.messages import Fault
from gtcrn_server.settings import Settings

OWN_METRICS = "/metrics/worker"
METRICS_SECONDS = 0.8  # that a worker has to answer; without one that hangs the others' are told
HOP_HEADERS = (b"connection", b"content-length", b"transfer-encoding", b"expect", b"keep-alive", b"upgrade")


class Siblings:
    """ASGI middleware of one worker. `ports` are the loopback ports of all, in the order of their numbers."""

    def __init__(self, app: ASGIApp, settings: Settings, worker: int, ports: Sequence[int]) -> None:
        self._app, self._settings, self._worker, self._ports = app, settings, worker, ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response | None = None
        if scope["type"] == "http":
            if scope["path"] == OWN_METRICS:
                scope = {**scope, "path": "/metrics"}
            elif scope["path"] == "/metrics":
                answer = await self._all_metrics(Headers(scope=scope))
            elif (owner := self._owner(scope["path"])) is not None:
                answer = await self._pass_on(owner, Request(scope, receive))
        await (answer or self._app)(scope, receive, send)

    def _owner(self, path: str) -> int | None:
        """The number of another worker that this request belongs to."""
        found = re.match(r"/v1/streams/(\d{1,3})-", path)
        owner = int(found[1]) if found else self._worker
        return owner if owner != self._worker and owner < len(self._ports) else None

    async def _pass_on(self, owner: int, request: Request) -> Response:
        limits = self._settings
        try:
            body = b"".join([piece async for piece in bounded(request, limits, limits.max_message_bytes)])
            async with asyncio.timeout(limits.slow_reader_seconds):
                return await self._ask(owner, request, body)
        except ServiceError as error:
            kind, message = error.kind, str(error)
        except OSError:
            kind, message = Kind.GONE, "The worker that held the stream is gone; open another."
        return JSONResponse(Fault(code=kind.code, message=message).model_dump(), kind.status)

    async def _ask(self, owner: int, request: Request, body: bytes) -> Response:
        path, query = request.scope["raw_path"], request.scope["query_string"]
        headers = [(name, value) for name, value in request.headers.raw if name not in HOP_HEADERS]
        line = request.method.encode() + b" " + path + (b"?" + query if query else b"")
        return await exchange(self._ports[owner], line, headers, body)

    async def _all_metrics(self, headers: Headers) -> Response:
        """Of all workers that answer in time; where this one refuses, its refusal."""
        passed = [(name, value) for name, value in headers.raw if name not in HOP_HEADERS]
        asked = (self._metrics_of(port, passed) for port in self._ports)
        answers = dict(zip(range(len(self._ports)), await asyncio.gather(*asked), strict=True))
        own = answers[self._worker]
        if own and own.status_code != 200:
            return own
        texts = [bytes(answer.body).decode() for answer in answers.values() if answer]
        return Response(merge(texts), media_type=CONTENT_TYPE_LATEST)

    async def _metrics_of(self, port: int, headers: list[tuple[bytes, bytes]]) -> Response | None:
        with contextlib.suppress(OSError):  # among them TimeoutError
            async with asyncio.timeout(METRICS_SECONDS):
                return await exchange(port, b"GET " + OWN_METRICS.encode(), headers, b"")
        return None


async def exchange(port: int, line: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Response:
    """One HTTP request to a port of this machine. Raises OSError when nobody answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        extra = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in [*headers, *extra])
        writer.write(line + b" HTTP/1.1\r\n" + head + b"\r\n" + body)
        answer = await reader.read()
    finally:
        writer.close()
    return _parse(answer)


def _parse(answer: bytes) -> Response:
    """The answer of a sibling, which always tells its length and closes."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        raise ConnectionResetError("the sibling broke off")
    status, *lines = head.split(b"\r\n")
    response = Response(body, int(status.split(b" ")[1]))
    pairs = [line.partition(b": ")[::2] for line in lines]
    response.raw_headers = [(name.lower(), value) for name, value in pairs if name.lower() != b"connection"]
    return response


def merge(texts: Iterable[str]) -> bytes:
    """Expositions of several workers as one; their samples differ in the label `worker`."""

    class Together(Collector):
        def collect(self) -> Iterable[Metric]:
            return families.values()

    families: dict[str, Metric] = {}
    for family in (family for text in texts for family in text_string_to_metric_families(text)):
        if family.name in families:
            families[family.name].samples.extend(family.samples)
        else:
            families[family.name] = family
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Together())
    return generate_latest(registry)
