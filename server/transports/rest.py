"""Frame processing for clients without WebSocket: a stream opened, fed and ended by REST requests."""

from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from gtcrn_server.limits import BoundedRoute, TheCaller, TheService
from gtcrn_server.messages import Change, Description, Options, StreamStatus
from gtcrn_server.openapi import PCM, PCM_BODY, answers, faults
from gtcrn_server.streams.held import Ask, Held, Reply

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
        now = monotonic()
        await service.streams.put(Held(live.identity, caller.key, live, place, opened=now, touched=now))
    except BaseException:
        place.give()
        raise
    response.headers["Location"] = f"/v1/streams/{live.identity}"
    return live.description()


@router.get("/{identity}", responses=faults(404, 410, 421, 422, 503))
async def read_stream(service: TheService, caller: TheCaller, identity: Identity) -> StreamStatus:
    """Where the stream stands: the sequence number it waits for, its settings and counts."""
    ask = Ask(verb="read", identity=identity, owner=caller.key, client=caller.client)
    return progress(await service.streams.ask(ask))


@router.patch("/{identity}", responses=faults(400, 404, 408, 410, 413, 421, 422, 503))
async def change_stream(service: TheService, caller: TheCaller, identity: Identity, change: Change) -> StreamStatus:
    """Change the attenuation limit or bypass between two samples, without a click."""
    body = change.model_dump_json(exclude_unset=True).encode()
    ask = Ask(verb="change", identity=identity, owner=caller.key, client=caller.client, body=body)
    return progress(await service.streams.ask(ask))


@router.post(
    "/{identity}/frames",
    response_class=Response,
    responses=answers(PCM, 400, 404, 408, 409, 410, 413, 421, 422, 503),
    openapi_extra={"requestBody": PCM_BODY},
)
async def process_frames(
    service: TheService, caller: TheCaller, identity: Identity, sequence: Sequence, request: Request
) -> Response:
    """Send samples, receive those that are ready. A request that is repeated is answered again, not applied again."""
    body = await request.body()
    ask = Ask(verb="frames", identity=identity, owner=caller.key, client=caller.client, sequence=sequence, body=body)
    return pcm(await service.streams.ask(ask))


@router.delete("/{identity}", response_class=Response, responses=answers(PCM, 404, 410, 421, 422, 503))
async def end_stream(service: TheService, caller: TheCaller, identity: Identity) -> Response:
    """End the stream and receive its tail: as many samples in all as were sent. May be repeated."""
    ask = Ask(verb="end", identity=identity, owner=caller.key, client=caller.client)
    return pcm(await service.streams.ask(ask))


def progress(reply: Reply) -> StreamStatus:
    return StreamStatus.model_validate_json(reply.body)


def pcm(reply: Reply) -> Response:
    return Response(reply.body, media_type="application/octet-stream", headers=dict(reply.counts))
