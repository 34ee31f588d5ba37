"""What may be asked over the REST face, and how a request becomes a question."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar
from urllib.parse import unquote

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, ValidationError, model_validator

from mdmsdk.client.build import explained
from mdmsdk.errors import MalformedResponseError
from mdmsdk.gateway.access import Refusal
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.models import FrozenModel
from mdmsdk.wire import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from mdmsdk.identifiers import Key

__all__ = [
    "Named",
    "Narrowed",
    "Nothing",
    "OfServers",
    "Question",
    "in_path",
    "key_of",
    "parameters",
    "read",
    "read_body",
    "read_path",
    "read_query",
]

_MOST_KEYS = 10_000
_REMEMBERED = 4096
_BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_ELSEWHERE = re.compile(r"(^|[/\\])\.{1,2}($|[/\\])")
_ModelT = TypeVar("_ModelT", bound=FrozenModel)
_Text = Annotated[str, Field(min_length=1, max_length=1_000)]
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _absent(schema: dict[str, Any]) -> None:
    """Say of a member that it may not be there, and not that it may be empty."""
    del schema["default"]


def _known(kind: str) -> str:
    if kind not in KEY_KINDS:
        raise ValueError(f"there is no kind of key of this name: {', '.join(KEY_KINDS)}")
    return kind


def decoded(text: str) -> str:
    """A part of an address, decoded once.

    Raises:
        Refusal: two programs may read it as two things.
    """
    if "%" in text:
        try:
            # UTF-8 in more bytes than it needs is none, https://www.rfc-editor.org/rfc/rfc3629#section-3
            plain = unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise _unreadable() from None
        if _BROKEN.search(text):
            raise _unreadable()
        text = plain
    if _CONTROL.search(text):
        raise _unreadable()
    return text


def _unreadable() -> Refusal:
    return Refusal(
        400,
        "the address is encoded in a way that two programs may read as two things",
        "It is UTF-8 without control characters, and each % has two hexadecimal digits after it.",
    )


def in_path(text: str) -> str:
    """A value that stands in a path, decoded.

    Raises:
        Refusal: two programs may read it as two things, or it leads elsewhere.
    """
    text = decoded(text)
    if _ELSEWHERE.search(text):
        raise Refusal(400, "a value has a part that is . or ..")
    return text


class Nothing(FrozenModel):
    """A question without parameters."""


class Named(FrozenModel):
    """The path of one key.

    Attributes:
        kind: of the key.
        value: the identifier.
    """

    kind: Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": [*KEY_KINDS]})]
    value: Annotated[_Text, AfterValidator(in_path)]


class OfServers(FrozenModel):
    """Whom to ask.

    Attributes:
        servers: only these are asked, by their names in the configuration.
    """

    servers: tuple[_Name, ...] | None = Field(default=None, min_length=1, max_length=100)


class Narrowed(OfServers):
    """How to ask.

    Attributes:
        deadline: seconds for the whole, within the deadline of the gateway.
        fresh: whether answers that are kept do not count.
        max_age: seconds that a kept answer may be old.
    """

    deadline: Annotated[_Seconds, Field(gt=0)] | None = None
    fresh: StrictBool = False
    max_age: Annotated[_Seconds, Field(ge=0)] | None = None


class Question(Narrowed):
    """What is asked: `chain` or `keys`, and not both.

    Attributes:
        chain: identifiers of one device, the surest first; one answer.
        keys: of many devices; a line of answer for each, in the order given.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["chain"]}, {"required": ["keys"]}]}
    )

    chain: tuple[_Text, ...] = Field(default=(), min_length=1, max_length=16, json_schema_extra=_absent)
    keys: tuple[_Text, ...] = Field(
        default=(), min_length=1, max_length=_MOST_KEYS, json_schema_extra=_absent
    )

    @model_validator(mode="after")
    def _check(self) -> Question:
        if bool(self.chain) is bool(self.keys):
            raise ValueError("either chain or keys is wanted")
        return self


def parameters(query: bytes) -> dict[str, str]:
    """The parameters in the query of a URL.

    Raises:
        Refusal: one is there twice, so that nobody can know which is meant, or cannot be decoded.
    """
    text = query.decode("latin-1")
    encoded = "%" in text or "+" in text
    given: dict[str, str] = {}
    for one in filter(None, text.split("&")):
        name, _, value = one.partition("=")
        if encoded:
            name, value = decoded(name.replace("+", " ")), decoded(value.replace("+", " "))
        if name in given:
            raise Refusal(400, "a parameter is there twice", "Give each once.")
        given[name] = value
    return given


def read_query(model: type[_ModelT], request: Request) -> _ModelT:
    """The question in a URL.

    Raises:
        Refusal: it has parameters that the model has not, or values that are none.
    """
    given: dict[str, Any] = parameters(request.scope["query_string"])
    texts = {name: value.split(",") if name == "servers" else _scalar(value) for name, value in given.items()}
    return read(model, texts)


def read_body(model: type[_ModelT], body: bytes) -> _ModelT:
    """The question in a body.

    Raises:
        Refusal: it is no JSON, or not of the model.
    """
    try:
        given = read_json(body, "")
    except MalformedResponseError:
        raise Refusal(400, "the body is no JSON that can be relied on", "A question is an object.") from None
    return read(model, given)


def read(model: type[_ModelT], given: Any, status: int = 400) -> _ModelT:
    """What was given, checked.

    Raises:
        Refusal: it is not of the model.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = [text for _, text in explained(error, model)[:5]]
        raise Refusal(status, "the request cannot be read", "; ".join(found)) from None


@lru_cache(_REMEMBERED)
def read_path(model: type[_ModelT], given: tuple[tuple[str, str], ...]) -> _ModelT:
    """What stands in a path, by name; the same path is asked again and again.

    Raises:
        Refusal: it is not of the model.
    """
    return read(model, dict(given), status=404)


@lru_cache(_REMEMBERED)
def key_of(parse: Callable[[str], Key], text: str) -> Key:
    """A key; the same device comes to the door again and again.

    Raises:
        InvalidIdentifierError: the text is none.
    """
    return parse(text)


def _scalar(text: str) -> Any:
    """A value of a parameter: what JSON makes of it, or the text itself."""
    with suppress(MalformedResponseError):
        value = read_json(text, "")
        # A parameter has no way to say null.
        return text if value is None else value
    return text
