"""What a browser gets: the demo page's files, and at /docs the interface, shown by Swagger UI from a package."""

from collections.abc import Iterable
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
FILES = ("GET", "HEAD")


def in_browser() -> bool:
    """Whether the denoiser for browsers is among the page's files, where `make -C gtcrn/ports/web page` puts it."""
    return (STATIC / "browser" / "gtcrn.wasm").is_file()


def add_page(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Serve the files wherever none of the routers' routes is."""
    if not STATIC.is_dir():
        return
    app.mount("/docs/ui", StaticFiles(packages=[("fastapi_swagger", "resources")]))
    routes = [route for router in routers for route in router.routes if isinstance(route, Route)]
    app.mount("/", Page(routes))


class Page(StaticFiles):
    """Files, and the answer to a method that a path does not have: 405, and which it has."""

    def __init__(self, routes: list[Route]) -> None:
        super().__init__(directory=STATIC, html=True)
        self._routes = routes

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at `path`; a request that comes here had no route for its method. Raises HTTPException."""
        here = [route.methods or set() for route in self._routes if route.path_regex.match(f"/{path}")]
        if allowed := set[str]().union(*here):
            raise _not_allowed(allowed)
        if scope["method"] not in FILES:
            raise _not_allowed(FILES) if self.lookup_path(path)[1] else HTTPException(404)
        return await super().get_response(path, scope)


def _not_allowed(methods: Iterable[str]) -> HTTPException:
    return HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
