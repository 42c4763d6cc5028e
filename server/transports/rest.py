"""Frame processing for clients without WebSocket: a stream opened, fed and ended by REST requests."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.headers import counts
from gtcrn_server.limits import BoundedRoute, Caller, TheCaller, TheService
from gtcrn_server.live import Live
from gtcrn_server.messages import Change, Description, Options, StreamStatus
from gtcrn_server.openapi import PCM, PCM_BODY, answers, faults
from gtcrn_server.service import Service
from gtcrn_server.streams.store import Held

router = APIRouter(prefix="/v1/streams", tags=["streams"], route_class=BoundedRoute)
Identity = Annotated[str, Path(max_length=64)]
Sequence = Annotated[int, Query(ge=0, description="0 for the first frames of a stream, then one more each time")]


@router.post("", status_code=201, responses=faults(400, 408, 413, 422, 503))
async def open_stream(
    service: TheService, caller: TheCaller, response: Response, options: Options | None = None
) -> Description:
    """Open a stream. It has its place until it is deleted or expires."""
    place = service.admit("rest", caller.client)
    try:
        live = await service.open(options or Options(), place)
    except BaseException:
        place.give()
        raise
    now = asyncio.get_running_loop().time()
    service.streams.put(Held(live.identity, caller.key, live, place, opened=now, touched=now))
    response.headers["Location"] = f"/v1/streams/{live.identity}"
    return live.description()


@router.get("/{identity}", responses=faults(404, 410, 422))
async def read_stream(service: TheService, caller: TheCaller, identity: Identity) -> StreamStatus:
    """Where the stream stands: the sequence number it waits for, its settings and counts."""
    held = service.streams.get(identity, caller.key)
    return progress(held, opened(held))


@router.patch("/{identity}", responses=faults(400, 404, 408, 410, 413, 422))
async def change_stream(service: TheService, caller: TheCaller, identity: Identity, change: Change) -> StreamStatus:
    """Change the attenuation limit or bypass between two samples, without a click."""
    held = touched(service, caller, identity)
    opened(held).change(change)
    return progress(held, opened(held))


@router.post(
    "/{identity}/frames",
    response_class=Response,
    responses=answers(PCM, 400, 404, 408, 409, 410, 413, 422),
    openapi_extra={"requestBody": PCM_BODY},
)
async def process_frames(
    service: TheService, caller: TheCaller, identity: Identity, sequence: Sequence, request: Request
) -> Response:
    """Send samples, receive those that are ready. A request that is repeated is answered again, not applied again."""
    held = touched(service, caller, identity)
    live, data = opened(held), await request.body()
    if held.busy or not held.sequence - 1 <= sequence <= held.sequence:
        raise ServiceError(Kind.SEQUENCE, f"The stream waits for sequence {held.sequence}, not {sequence}.")
    if sequence == held.sequence:
        held.answer = await _apply(held, live, data)
        held.sequence += 1
        service.streams.put(held)
    return pcm(held.answer)


async def _apply(held: Held, live: Live, data: bytes) -> bytes:
    """Process slice by slice; other streams have their turn in between."""
    held.busy = True
    try:
        return b"".join([output async for output in live.feed(data)])
    finally:
        held.busy = False


@router.delete("/{identity}", response_class=Response, responses=answers(PCM, 404, 409, 410, 422))
async def end_stream(service: TheService, caller: TheCaller, identity: Identity) -> Response:
    """End the stream and receive its tail: as many samples in all as were sent. May be repeated."""
    held = touched(service, caller, identity)
    if held.busy:
        raise ServiceError(Kind.SEQUENCE, "Frames of the stream are being processed; end it afterwards.")
    if held.live:
        await _end(service, held, held.live)
    return pcm(held.answer, held.counts)


async def _end(service: Service, held: Held, live: Live) -> None:
    """To others it has ended already; its tail may take a while."""
    held.live, held.busy = None, True
    try:
        held.answer = await live.finish()
        done = live.summary()
        held.counts = counts(done.nonfinite, done.clipped)
    finally:
        held.state, held.busy = "ended", False
        held.place.give()
        service.streams.put(held)


def touched(service: Service, caller: Caller, identity: str) -> Held:
    """The stream, which is not idle now."""
    held = service.streams.get(identity, caller.key)
    held.touched = asyncio.get_running_loop().time()
    return held


def opened(held: Held) -> Live:
    """The stream's audio state; raises ServiceError when it has ended."""
    if held.live is None:
        raise ServiceError(Kind.GONE, "The stream has ended; open another.")
    return held.live


def progress(held: Held, live: Live) -> StreamStatus:
    return StreamStatus(
        id=held.identity,
        sequence=held.sequence,
        attenuation_limit=live.stream.attenuation_limit,
        bypass=live.stream.bypass,
        keep_highs=live.stream.keep_highs,
        seconds=round(live.seconds, 6),
        nonfinite=live.summary().nonfinite,
        clipped=live.clipped,
    )


def pcm(data: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(data, media_type="application/octet-stream", headers=headers)
