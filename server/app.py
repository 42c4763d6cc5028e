"""The app factory: routes, error answers, headers. Everything an app owns hangs on its Service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import WebSocketRoute

from gtcrn.denoiser import Denoiser
from gtcrn.errors import GtcrnError
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.headers import SecurityHeaders
from gtcrn_server.limits import TheService, refuse_unknown_query, require_key, require_status_key
from gtcrn_server.messages import Encoding, Fault, Health, Info, sentence
from gtcrn_server.openapi import faults
from gtcrn_server.origins import Origins
from gtcrn_server.page import add_page, in_browser
from gtcrn_server.service import Service
from gtcrn_server.settings import Settings
from gtcrn_server.transports import duplex, files
from gtcrn_server.transports import rest as streams
from gtcrn_server.transports.asterisk import ChanWebSocket
from gtcrn_server.transports.audiosocket import AudioSocket
from gtcrn_server.transports.carriers import CARRIERS, MediaStream
from gtcrn_server.transports.relay import Dialect, RelaySocket
from gtcrn_server.transports.websocket import StreamSocket

status = APIRouter(tags=["status"], dependencies=[Depends(refuse_unknown_query)])
KEYLESS: dict[int | str, dict[str, Any]] = {
    status: faults(422)[status] for status in (403, 422)
}  # routes without a key


def create_app(settings: Settings, denoiser: Denoiser, worker: int = 0, metrics: Path | None = None) -> FastAPI:
    """An independent service: two of them in one process share nothing but the denoiser they are given.

    `metrics` is the folder in which several workers count together.
    """
    service = Service(settings, denoiser, worker, metrics)
    app = FastAPI(
        title="gtcrn",
        version=version("gtcrn"),
        description="Denoises speech: files, and live audio frame by frame. The WebSocket is at /v1/stream.",
        lifespan=lifespan,
        openapi_url=None,  # below, with a key
        docs_url=None,  # they would load scripts from elsewhere; see page.py
        redoc_url=None,
    )
    app.state.service = service
    app.state.audiosocket = AudioSocket(service)
    working = (files.router, duplex.router, streams.router)
    for router in working:
        app.include_router(router, dependencies=[Depends(require_key), Depends(refuse_unknown_query)])
    app.include_router(status)
    app.router.routes.append(WebSocketRoute("/v1/stream", StreamSocket(service)))
    _add_calls(app, service)
    add_page(app, (*working, status))
    _answer_errors(app)
    _add_headers(app, settings)
    return app


def _add_calls(app: FastAPI, service: Service) -> None:
    """The WebSockets of calls whose bot is known."""
    settings = service.settings
    places: list[tuple[str, Callable[[], Dialect], str | None]] = [
        *((carrier.name, partial(MediaStream, carrier), settings.call_bot) for carrier in CARRIERS),
        (ChanWebSocket.name, ChanWebSocket, settings.asterisk_bot),
    ]
    for name, dialect, bot in places:
        if bot:
            app.router.routes.append(WebSocketRoute(f"/v1/{name}", RelaySocket(service, dialect, bot)))


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The service works from here on, under its own watch, until the server stops."""
    service: Service = app.state.service
    await service.start()
    watch = asyncio.create_task(service.watch())
    async with app.state.audiosocket.listening():
        yield
    watch.cancel()
    await service.stop()


def _answer_errors(app: FastAPI) -> None:
    async def known(request: Request, error: Exception) -> Response:
        return fault(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return fault(request, ServiceError(Kind.SETTING, sentence(error.errors()[0])))

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = Fault(code="http", message=f"{error.detail}.").model_dump()
        return JSONResponse(body, error.status_code, error.headers)

    app.add_exception_handler(GtcrnError, known)
    app.add_exception_handler(Exception, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)


def fault(request: Request, error: Exception) -> Response:
    """The error as JSON: its code and one sentence."""
    service: Service = request.app.state.service
    told = service.tell(error)
    headers = {}
    if told.kind.status == 503:
        headers["Retry-After"] = str(service.settings.retry_after)
    if told.kind is Kind.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(Fault(code=told.kind.code, message=told.message).model_dump(), told.kind.status, headers)


def _add_headers(app: FastAPI, settings: Settings) -> None:
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Location", "Retry-After", "Gtcrn-Nonfinite", "Gtcrn-Clipped"],
        )
    app.add_middleware(Origins, settings=settings)
    app.add_middleware(SecurityHeaders)


@status.get("/openapi.json", include_in_schema=False, dependencies=[Depends(require_status_key)])
async def openapi(request: Request) -> JSONResponse:
    """The description of this interface."""
    return JSONResponse(request.app.openapi())


@status.get("/v1/info", responses=faults(422), dependencies=[Depends(require_status_key)])
async def info(service: TheService) -> Info:
    """What runs here and what it takes."""
    settings, spectral = service.settings, service.denoiser.config.spectral
    return Info(
        version=version("gtcrn"),
        model=str(service.denoiser.card.get("name", "gtcrn")),
        sample_rate=spectral.sample_rate,
        frame=spectral.hop,
        latency=spectral.latency,
        latency_ms=1000 * spectral.latency / spectral.sample_rate,
        encodings=list(get_args(Encoding)),
        in_browser=in_browser(),
        **{name: getattr(settings, name) for name in Info.model_fields if name.startswith("max_")},
    )


@status.get("/healthz", responses={**KEYLESS})
async def healthz() -> Health:
    """The process answers."""
    return Health(status="alive")


@status.get("/readyz", responses={**KEYLESS, 503: {"model": Fault, "description": "starting or shutting down"}})
async def readyz(service: TheService) -> Health:
    """New streams are taken (a full service is ready too: it answers 503 itself)."""
    if not service.ready:
        raise ServiceError(Kind.LEAVING, "The service is starting or shutting down.")
    return Health(status="ready")


@status.get("/metrics", response_class=Response, responses=faults(422), dependencies=[Depends(require_status_key)])
async def metrics(service: TheService) -> Response:
    """Prometheus text format."""
    return Response(service.telemetry.exposition(), media_type=CONTENT_TYPE_LATEST)
