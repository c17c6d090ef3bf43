"""GET /openapi.json and /docs: the description of the API, served from files of the package unchanged.

scripts/generate writes the document and copies Swagger UI, so nothing is computed here and nothing
comes from another host.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# The page runs only its own scripts, connects only to its own host, and cannot be framed by another page.
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA_TYPES: Final = {
    "page.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


async def openapi(_: Request) -> Response:
    """Describe all routes in OpenAPI 3.1."""
    return Response(_content("openapi.json"), media_type="application/json")


async def docs(_: Request) -> Response:
    """Show all routes on a page.

    Swagger UI: for people, to read and to try.
    """
    return Response(_content("docs/index.html"), headers=_PAGE_HEADERS, media_type="text/html")


async def docs_file(request: Request) -> Response:
    """Return a file of the page.

    Raises:
        HTTPException: 404 for any other.
    """
    name = request.path_params["name"]
    if name not in _MEDIA_TYPES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response(_content(f"docs/{name}"), headers=_PAGE_HEADERS, media_type=_MEDIA_TYPES[name])


@cache
def _content(name: str) -> bytes:
    return files("gateway").joinpath(name).read_bytes()


ROUTES: Final = (
    Route("/openapi.json", openapi),
    Route("/docs", docs),
    # Part of the page, not of the interface.
    Route("/docs/{name}", docs_file, include_in_schema=False),
)
