"""Errors as problem documents, RFC 9457, https://www.rfc-editor.org/rfc/rfc9457."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from mdmsdk.errors import (
    ConfigurationError,
    InvalidIdentifierError,
    MdmError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from mdmsdk.gateway.access import Refusal

__all__ = ["failed", "problem_of", "refused", "refused_plainly"]

_STATUS: list[tuple[type[MdmError], int]] = [
    (InvalidIdentifierError, 400),
    (ConfigurationError, 400),
    (UnsupportedOperationError, 501),
]


def problem_of(error: MdmError) -> dict[str, Any]:
    """An error of ours as a problem document."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
    return _problem(status, error.message, error.hint or "") | {
        "error": type(error).__name__,
        **({"server": error.server} if error.server else {}),
    }


def refused(refusal: Refusal) -> Response:
    """A refusal as the REST face tells it."""
    return _response(_problem(refusal.status, refusal.title, refusal.hint), refusal.headers)


def refused_plainly(refusal: Refusal) -> Response:
    """A refusal as the ISE face tells it, whose descriptions know no body of an error."""
    return PlainTextResponse(f"{refusal.title}\n", refusal.status, headers=refusal.headers)


def failed(error: MdmError) -> Response:
    """An error of ours as the REST face tells it."""
    return _response(problem_of(error), {})


def _response(problem: dict[str, Any], headers: dict[str, str]) -> Response:
    return JSONResponse(problem, problem["status"], headers, media_type="application/problem+json")


def _problem(status: int, title: str, hint: str) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    return {"type": "about:blank", "status": status, "title": phrase, "detail": title} | (
        {"hint": hint} if hint else {}
    )
