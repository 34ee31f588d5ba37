"""The web page: three files that hold nothing, and ask the REST face with the key that a person enters."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["page"]

# Nothing but these files, no code and no style but theirs, no frame around them, and no text that becomes
# markup: https://www.w3.org/TR/CSP3/ and https://www.w3.org/TR/trusted-types/
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
_PLACE = b"<!-- workers -->"
_SHARED = (
    b'<p class="soft">One of %d workers shows its own here; the next look may show those of another one. '
    b"The audit log has all.</p>"
)
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}


def page(workers: int) -> list[Route]:
    """The routes of the page.

    Args:
        workers: how many serve; each has decisions of its own.
    """
    return [_route(path, workers, *file) for path, file in _FILES.items()]


def _route(path: str, workers: int, name: str, media: str) -> Route:
    content = files("mdmsdk.gateway").joinpath("static", name).read_bytes()
    content = content.replace(_PLACE, _SHARED % workers if workers > 1 else b"")

    async def serve(_: Request) -> Response:
        return Response(content, headers=_HEADERS, media_type=media)

    return Route(path, serve, methods=["GET"])
