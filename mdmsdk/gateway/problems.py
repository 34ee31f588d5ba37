"""Errors as problem documents, RFC 9457, https://www.rfc-editor.org/rfc/rfc9457."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, NotRequired

from starlette.responses import PlainTextResponse, Response
from typing_extensions import TypedDict

from mdmsdk.errors import (
    ConfigurationError,
    InvalidIdentifierError,
    MdmError,
    UnsupportedOperationError,
)
from mdmsdk.gateway.access import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROBLEM_JSON", "Problem", "failed", "problem_of", "refused", "refused_plainly"]

PROBLEM_JSON = "application/problem+json"
_STATUS: list[tuple[type[MdmError], int]] = [
    (InvalidIdentifierError, 400),
    (ConfigurationError, 400),
    (UnsupportedOperationError, 501),
]
_HINTS = {
    400: "What a request takes stands in /openapi.json, and in the reference of the gateway.",
    404: "The requests that there are stand in /openapi.json, and in the reference of the gateway.",
    405: "The header Allow says which methods this path takes.",
    408: "Send the body at once, within the setting deadline of the gateway.",
    413: "Ask for less at a time, or raise the setting max_body of the gateway.",
    431: "Send fewer or shorter headers.",
}
"""For refusals that bring no hint of their own."""


class Problem(TypedDict):
    """An error, as RFC 9457 writes it.

    Attributes:
        type: says nothing beyond the status.
        status: of HTTP.
        title: the status in words.
        detail: what is wrong.
        hint: what to do.
        error: name of the error's class, where a server failed.
        server: which one.
    """

    type: str
    status: int
    title: str
    detail: str
    hint: NotRequired[str]
    error: NotRequired[str]
    server: NotRequired[str]


def problem_of(error: MdmError | Refusal) -> Problem:
    """An error of ours, or a refusal, as a problem document."""
    if isinstance(error, Refusal):
        return _problem(error.status, error.title, error.hint)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
    problem = _problem(status, error.message, error.hint or "")
    problem["error"] = type(error).__name__
    if error.server:
        problem["server"] = error.server
    return problem


def refused(refusal: Refusal) -> Response:
    """A refusal as the REST face tells it."""
    return _response(problem_of(refusal), refusal.headers)


def refused_plainly(refusal: Refusal) -> Response:
    """A refusal as the ISE face tells it, whose descriptions know no body of an error."""
    return PlainTextResponse(f"{refusal.title}\n", refusal.status, headers=refusal.headers)


def failed(error: MdmError) -> Response:
    """An error of ours as the REST face tells it."""
    return _response(problem_of(error), {})


def _response(problem: Problem, headers: Mapping[str, str]) -> Response:
    # Half a character, as a hostile value of a request may hold it, is shown as a question mark.
    body = json.dumps(problem, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return Response(body, problem["status"], headers, media_type=PROBLEM_JSON)


def _problem(status: int, detail: str, hint: str) -> Problem:
    problem: Problem = {
        "type": "about:blank",
        "status": status,
        "title": HTTPStatus(status).phrase,
        "detail": detail,
    }
    if hint := hint or _HINTS.get(status, ""):
        problem["hint"] = hint
    return problem
