"""Which web pages may use the service: a browser lets any page send requests, and any name point to this address."""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.settings import Settings

HARMLESS = ("GET", "HEAD", "OPTIONS")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
LOCAL = ("localhost", "127.0.0.1", "::1")


class Origins:
    """ASGI middleware that lets nobody in under a foreign name, nor a foreign page change anything."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            try:
                check(self._settings, scope)
            except ServiceError as error:
                return await _refuse(error, scope, receive, send)
        return await self._app(scope, receive, send)


async def _refuse(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    from gtcrn_server.app import fault

    if scope["type"] == "http":
        await fault(Request(scope), error)(scope, receive, send)
        return
    scope["app"].state.service.tell(error)
    await send({"type": "websocket.close"})  # before it is accepted: the handshake is answered with 403


def check(settings: Settings, scope: Scope) -> None:
    """Raises ServiceError for a name that is not the service's, and for a foreign page that could change something."""
    headers = Headers(scope=scope)
    host = headers.get("host", "").lower()
    if not _ours(_name(host), settings):
        raise ServiceError(Kind.ORIGIN, "The service does not go by this name; see GTCRN_ALLOWED_HOSTS.")
    if scope["type"] == "http" and scope["method"] in HARMLESS:
        return
    origin, allowed = headers.get("origin"), settings.allowed_origins
    if origin is None and headers.get("sec-fetch-site") != "cross-site":
        return  # a program
    scheme = scope["scheme"].replace("ws", "http")
    if not _among(origin or "null", allowed) and _plain(origin or "") != _plain(f"{scheme}://{host}"):
        raise ServiceError(Kind.ORIGIN, "Pages of this origin may not use the service; see GTCRN_ALLOWED_ORIGINS.")


def _among(origin: str, allowed: Collection[str]) -> bool:
    return "*" in allowed or origin in allowed


def _plain(origin: str) -> str:
    """An origin without the port that its scheme implies."""
    origin = origin.lower()
    return origin.removesuffix(DEFAULT_PORTS.get(origin.partition(":")[0], ""))


def _name(host: str) -> str:
    """Of a Host header: without port, and an IPv6 address without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _ours(name: str, settings: Settings) -> bool:
    """Addresses are: a page that was loaded from a foreign name cannot send one."""
    if "*" in settings.allowed_hosts or name in (
        *LOCAL,
        settings.host.lower(),
        *map(str.lower, settings.allowed_hosts),
    ):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
