"""Reading the JSON of both products: strict about lists and counts, tolerant about errors. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import MalformedResponseError

if TYPE_CHECKING:
    from mdmsdk.wire import Response

__all__ = ["HEADERS", "complaints", "integer", "mapping", "numbered", "objects", "refusal"]

HEADERS = {"Accept": "application/json"}
"""EPMM's version 1 answers with XML otherwise."""


def mapping(value: object, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        MalformedResponseError: it is something else; `what` says what was expected.
    """
    if isinstance(value, dict):
        return value
    raise MalformedResponseError(f"the answer is no {what}")


def objects(value: object, what: str) -> list[dict[str, Any]]:
    """A list of JSON objects.

    Raises:
        MalformedResponseError: it is something else; `what` says what was expected.
    """
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    raise MalformedResponseError(f"the answer holds no list of {what}")


def integer(value: object, what: str) -> int:
    """A whole number that is not negative, also where it is written as text.

    Raises:
        MalformedResponseError: it is none.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise MalformedResponseError(f"the answer holds no {what}")


def numbered(value: object, name: str) -> list[tuple[int | str, dict[str, Any]]]:
    """The records of an answer, each with its number; with an empty text where that cannot be read.

    Raises:
        MalformedResponseError: it is no list of objects.
    """
    records: list[tuple[int | str, dict[str, Any]]] = []
    for record in objects(value, "devices"):
        try:
            records.append((integer(record.get(name), "number"), record))
        except MalformedResponseError:
            records.append(("", record))
    return records


# EPMM: `messages`; a V1 answer has it one level down as `message`. Neurons: `errors.globalErrors` and
# `errors.fieldErrors` with code, message and field. A body may as well be a web page.
def complaints(body: object) -> list[str]:
    """What the server finds wrong with a request, in its own words; [] where it does not say."""
    return list(dict.fromkeys(_sentences(body, 4)))


def refusal(response: Response) -> list[str]:
    """The complaints of an error, whatever its body is."""
    try:
        return complaints(response.json())
    except MalformedResponseError:
        return []


_SPEAKING = re.compile(r"\w*errors?|\w*messages?", re.IGNORECASE)


def _sentences(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [" ".join(value.split())] if value.strip() else []
    if depth and isinstance(value, list):
        return [sentence for item in value for sentence in _sentences(item, depth - 1)]
    if not depth or not isinstance(value, dict):
        return []
    inner = [
        sentence
        for name, part in value.items()
        if _SPEAKING.fullmatch(name)
        for sentence in _sentences(part, depth - 1)
    ]
    field = value.get("field")
    return [f"{field}: {sentence}" for sentence in inner] if field and isinstance(field, str) else inner
