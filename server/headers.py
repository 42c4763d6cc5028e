"""Headers of every HTTP answer: the page may load, run and talk to what this service itself serves, nothing else."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
        "img-src 'self' data: blob:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


NONFINITE, CLIPPED = "Gtcrn-Nonfinite", "Gtcrn-Clipped"


def counts(nonfinite: int, clipped: int) -> dict[str, str]:
    """What an answer of audio tells of its samples: those that became silence, and those beyond full scale."""
    return {NONFINITE: str(nonfinite), CLIPPED: str(clipped)}


class Trailers:
    """The counts of an answer that begins before they are known: announced in its header, sent behind its body.

    Only where the connection has chunks and a guard to write them; elsewhere such an answer tells nothing.
    """

    def __init__(self, scope: Scope) -> None:
        self._guard = scope.get("state", {}).get("guard") if scope["http_version"] != "1.0" else None

    def announce(self, headers: MutableHeaders) -> None:
        if self._guard is not None:
            del headers["content-length"]
            headers["Trailer"] = f"{NONFINITE}, {CLIPPED}"

    def tell(self, nonfinite: int, clipped: int) -> None:
        """Before the last message of the answer."""
        if self._guard is not None:
            self._guard.trailers = counts(nonfinite, clipped)


class SecurityHeaders:
    """ASGI middleware that adds HEADERS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if message["status"] >= 400 and _body_pending(scope):
                    headers["Connection"] = "close"  # the rest of the body is nobody's
            await send(message)

        await self._app(scope, receive, guarded)


def _body_pending(scope: Scope) -> bool:
    guard = scope.get("state", {}).get("guard")
    return guard is not None and guard.body_pending
