"""Who may talk to the service, and how much a request body may hold."""

import asyncio
import base64
import contextlib
import difflib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
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


@dataclass(frozen=True)
class Caller:
    """Who asks: a digest of the key that was presented (empty where none is asked for), and the address."""

    key: str
    address: str

    @property
    def client(self) -> str:
        """Whose places are counted together."""
        return self.key or self.address


def require_key(service: TheService, bearer: Bearer, request: Request) -> Caller:
    """Dependency of every route that does work."""
    key = check_key(service.settings, [bearer.credentials] if bearer else [])
    return Caller(key, service.client(request.client))


def require_status_key(service: TheService, bearer: Bearer, request: Request) -> None:
    """Dependency of what tells about the service, where the settings say so."""
    if service.settings.status_needs_key:
        require_key(service, bearer, request)


def refuse_unknown_query(request: Request) -> None:
    """Dependency of routes that know what can be asked of them. Raises ServiceError with the nearest name."""
    known = _query_names(request.scope["route"].dependant)
    for name in set(request.query_params) - set(known):
        near = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f"; did you mean {near[0]}" if near else f"; there are {', '.join(known)}" if known else ""
        raise unknown_query(name, hint)


def unknown_query(name: str, hint: str = "") -> ServiceError:
    return ServiceError(Kind.SETTING, f"{name:.40}: there is no such query parameter{hint}.")


def _query_names(dependant: Dependant) -> list[str]:
    """The query parameters of a route, and of what it depends on."""
    own = [parameter.alias for parameter in dependant.query_params]
    return own + [name for inner in dependant.dependencies for name in _query_names(inner)]


TheCaller = Annotated[Caller, Depends(require_key)]


def check_key(settings: Settings, presented: Iterable[str]) -> str:
    """A digest of the right key among those presented, empty where no key is asked for; in time that tells nothing.

    Raises ServiceError where none is right.
    """
    if not settings.api_keys:
        return ""
    pairs = [(key.encode(), given.encode()) for given in presented for key in settings.api_keys]
    right = [key for key, given in pairs if hmac.compare_digest(key, given)]
    if not right:
        raise ServiceError(Kind.UNAUTHORIZED, "An API key is needed: Authorization: Bearer KEY.")
    return hashlib.sha256(right[0]).hexdigest()


def presented_keys(headers: Headers, subprotocols: Iterable[str]) -> list[str]:
    """Keys of a WebSocket handshake: a bearer token, the password of a user and his password, as Asterisk can send
    it, or a subprotocol `key.KEY`, as browsers can."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    readers: dict[str, Callable[[str], str]] = {"bearer": str.strip, "basic": _password}
    shown = [read(token)] if (read := readers.get(scheme.lower())) else []
    return shown + [name.removeprefix(KEY_PREFIX) for name in subprotocols if name.startswith(KEY_PREFIX)]


def _password(token: str) -> str:
    """Of Basic credentials (RFC 7617); empty where they cannot be read."""
    with contextlib.suppress(ValueError):
        return base64.b64decode(token, validate=True).decode().partition(":")[2]
    return ""


def too_large(limit: int) -> ServiceError:
    return ServiceError(Kind.TOO_LARGE, f"The body may have at most {limit} bytes.")


async def bounded(request: Request, settings: Settings, limit: int) -> AsyncIterator[bytes]:
    """The body in pieces; raises ServiceError above `limit` bytes (before reading, if told) and when it is too slow.

    Every byte buys time, up to the idle limit: a trickle does not hold a place, a pause after steady work may be long.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    total, stream, clock = 0, request.stream(), asyncio.get_running_loop().time
    deadline = clock() + min(settings.start_seconds, settings.idle_seconds)
    while (piece := await _next(stream, deadline)) is not None:
        total += len(piece)
        if total > limit:
            raise too_large(limit)
        now = clock()
        deadline = min(now + settings.idle_seconds, deadline + len(piece) / settings.min_body_rate)
        yield piece
        deadline += clock() - now  # our own time is not the client's


class BoundedRoute(APIRoute):
    """A route whose body is at most one message long and is read, of those with a key, before anything looks at it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded_handle(request: Request) -> Response:
            settings = service_of(request).settings
            check_key(settings, presented_keys(request.headers, ()))
            pieces = bounded(request, settings, settings.max_message_bytes)
            request._body = b"".join([piece async for piece in pieces])
            return await handle(request)

        return bounded_handle


async def _next(stream: AsyncIterator[bytes], deadline: float) -> bytes | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(stream, None)
    except TimeoutError as error:
        raise ServiceError(Kind.TIMEOUT, "The body came too slowly, or not at all.") from error
    except ClientDisconnect as error:
        raise ServiceError(Kind.MALFORMED, "The body broke off.") from error
