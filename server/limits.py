"""Who may talk to the service, and how much a request body may hold."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.service import Service
from gtcrn_server.settings import Settings

PROTOCOL = "gtcrn"  # the WebSocket subprotocol
KEY_PREFIX = "key."  # of the second subprotocol by which a browser presents its key


def service_of(request: Request) -> Service:
    """The service of the app that got this request."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


TheService = Annotated[Service, Depends(service_of)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False, description="API key"))]


def require_key(service: TheService, bearer: Bearer) -> None:
    """Dependency of every route that does work."""
    check_key(service.settings, [bearer.credentials] if bearer else [])


def check_key(settings: Settings, presented: Iterable[str]) -> None:
    """Raises ServiceError unless no key is asked for or one presented is right; in time that tells nothing."""
    if not settings.api_keys:
        return
    pairs = [(key.encode(), given.encode()) for given in presented for key in settings.api_keys]
    if not any([hmac.compare_digest(key, given) for key, given in pairs]):  # noqa: C419 (all are compared)
        raise ServiceError(Kind.UNAUTHORIZED, "An API key is needed: Authorization: Bearer KEY.")


def presented_keys(headers: Headers, subprotocols: Iterable[str]) -> list[str]:
    """Keys of a WebSocket handshake: a bearer token, or a subprotocol `key.KEY` as browsers can send it."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = [token.strip()] if scheme.lower() == "bearer" else []
    return bearer + [name.removeprefix(KEY_PREFIX) for name in subprotocols if name.startswith(KEY_PREFIX)]


def check_origin(settings: Settings, headers: Headers) -> None:
    """Raises ServiceError for a web page of another origin that is not allowed; programs send no origin."""
    origin = headers.get("origin")
    if origin is None or "*" in settings.allowed_origins or origin in settings.allowed_origins:
        return
    if origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise ServiceError(Kind.ORIGIN, "Pages of this origin may not use the service; see GTCRN_ALLOWED_ORIGINS.")


def too_large(limit: int) -> ServiceError:
    return ServiceError(Kind.TOO_LARGE, f"The body may have at most {limit} bytes.")


async def bounded(request: Request, limit: int, idle_seconds: float) -> AsyncIterator[bytes]:
    """The body in pieces; raises ServiceError above `limit` bytes (before reading, if told) and when it stalls."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    total, stream = 0, request.stream()
    while (piece := await _next(stream, idle_seconds)) is not None:
        total += len(piece)
        if total > limit:
            raise too_large(limit)
        yield piece


class BoundedRoute(APIRoute):
    """A route whose body is at most one message long and is read before anything looks at it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded_handle(request: Request) -> Response:
            settings = service_of(request).settings
            pieces = bounded(request, settings.max_message_bytes, settings.idle_seconds)
            request._body = b"".join([piece async for piece in pieces])
            return await handle(request)

        return bounded_handle


async def _next(stream: AsyncIterator[bytes], idle_seconds: float) -> bytes | None:
    try:
        async with asyncio.timeout(idle_seconds):
            return await anext(stream, None)
    except TimeoutError as error:
        raise ServiceError(Kind.TIMEOUT, f"Nothing of the body came for {idle_seconds:g} s.") from error
    except ClientDisconnect as error:
        raise ServiceError(Kind.MALFORMED, "The body broke off.") from error
