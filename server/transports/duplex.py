"""POST /v1/denoise/pcm: PCM goes up and comes down in one request, output as soon as it is ready."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.types import Receive, Scope, Send

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.headers import Trailers
from gtcrn_server.limits import TheCaller, TheService
from gtcrn_server.live import Live
from gtcrn_server.messages import Bypass, Channels, Encoding, KeepHighs, Limit, Options, Rate
from gtcrn_server.openapi import PCM, PCM_BODY, answers
from gtcrn_server.service import Service
from gtcrn_server.sessions import Session

router = APIRouter(tags=["files"])


def options(
    sample_rate: Annotated[Rate, Query()] = 16_000,
    channels: Annotated[Channels, Query()] = 1,
    encoding: Annotated[Encoding, Query()] = "s16le",
    attenuation_limit: Annotated[Limit, Query()] = None,
    bypass: Annotated[Bypass, Query()] = False,
    keep_highs: Annotated[KeepHighs, Query()] = False,
) -> Options:
    """Options of a stream as query parameters."""
    return Options(
        sample_rate=sample_rate,
        channels=channels,
        encoding=encoding,
        attenuation_limit=attenuation_limit,
        bypass=bypass,
        keep_highs=keep_highs,
    )


@router.post(
    "/v1/denoise/pcm",
    response_class=Response,
    responses=answers(PCM, 400, 408, 422, 503),
    openapi_extra={"requestBody": PCM_BODY},
)
async def denoise_pcm(
    service: TheService, caller: TheCaller, options: Annotated[Options, Depends(options)], request: Request
) -> Response:
    """Send PCM of any length and rate of arrival; its denoised samples come back while you send.

    What breaks the stream after its first byte can only be told by ending the answer before its end.
    """
    return Duplex(service, caller.client, options, request.headers.get("content-length", ""))


class Duplex(Response):
    """The answer, which reads the request's body while it is sent. It begins with the first input, not before."""

    media_type = "application/octet-stream"

    def __init__(self, service: Service, client: str, options: Options, length: str) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._service, self._client, self._options, self._length = service, client, options, length
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._trailers = Trailers(scope)
        self._trailers.announce(self.headers)
        with Session(self._service, "http", self._client) as session:
            live, session.started = await self._service.open(self._options, session.place), True
            if self._length.isdecimal() and int(self._length) % live.width:
                raise _broken_sample(live.width)
            try:
                await session.guard(self._converse(session, live, receive, send))
            except ServiceError as error:
                await self._break_off(error, live, send)

    async def _converse(self, session: Session, live: Live, receive: Receive, send: Send) -> None:
        async for data in _whole_samples(session, live.width, receive):
            async for output in live.feed(data):
                await self._sound(output, send)
        await self._sound(await live.finish(), send)
        done = live.summary()
        self._trailers.tell(done.nonfinite, done.clipped)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _sound(self, output: bytes, send: Send) -> None:
        if not self._begun:
            self._begun = True
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if output:
            await send({"type": "http.response.body", "body": output, "more_body": True})

    async def _break_off(self, error: ServiceError, live: Live, send: Send) -> None:
        """The tail for a stream that must end; the answer stays without its end, so that nobody takes it for whole."""
        if not self._begun:
            raise error
        if self._service.tell(error).kind in (Kind.TIMEOUT, Kind.LEAVING):
            with contextlib.suppress(OSError):
                await self._sound(await live.finish(), send)


async def _whole_samples(session: Session, width: int, receive: Receive) -> AsyncIterator[bytes]:
    """The body in pieces of whole samples. Raises ServiceError when it ends within one or the client is gone."""
    rest, more = b"", True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ServiceError(Kind.MALFORMED, "The body broke off.")
        session.touch()
        data, more = rest + event.get("body", b""), event.get("more_body", False)
        whole = len(data) - len(data) % width
        rest = data[whole:]
        yield data[:whole]
    if rest:
        raise _broken_sample(width)


def _broken_sample(width: int) -> ServiceError:
    return ServiceError(Kind.MALFORMED, f"The body ends within a sample of {width} bytes.")
