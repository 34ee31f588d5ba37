"""The description of the REST face, OpenAPI 3.1: made from the table of its requests and from the models.

Source: https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from mdmsdk.errors import ConnectError
from mdmsdk.federation import Answer, Heartbeat, Outcome, Status
from mdmsdk.federation.rows import HeartbeatRow, heartbeat_row
from mdmsdk.gateway.journal import Asker, Decided, DecidedRow, JournalRow, decided_row, journal_row
from mdmsdk.gateway.operations import JSON, NDJSON
from mdmsdk.gateway.problems import PROBLEM_JSON, Problem, problem_of
from mdmsdk.gateway.questions import Question
from mdmsdk.identifiers import Mac
from mdmsdk.models import Compliance, ComplianceState, Device, ServerInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdmsdk.gateway.operations import Operation

__all__ = ["describe"]

_INFO = {
    "title": "mdmsdk gateway",
    "version": "1",
    "description": "Asks every MDM server of the configuration in one way. Whether a device may pass is said "
    "by `decision` alone: only `compliant` is a pass.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of the table `gateway.rest.keys`; `mdm serve --new-key NAME` makes one.",
}
_SCHEMAS = "#/components/schemas/{model}"
_PLACE = re.compile(r"{(\w+):\w+}")
_ATTRIBUTES = "\n\nAttributes:\n"
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The description of what these requests take and give."""
    schemas, definitions = _schemas(operations)
    paths: dict[str, Any] = {}
    for one in operations:
        path = paths.setdefault(_PLACE.sub(r"{\1}", one.path), {})
        path[one.method.lower()] = _operation(one, schemas, definitions)
    # The fields of these are parameters.
    unused = {one.place.__name__ for one in operations}
    unused |= {one.question.__name__ for one in operations if one.method == "GET"}
    problem = {"description": "An error.", "content": {PROBLEM_JSON: {"schema": schemas[Problem]}}}
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in definitions.items() if name not in unused},
            "responses": {"Problem": problem},
            "securitySchemes": {"key": _BEARER},
        },
    }


def _schemas(operations: Sequence[Operation]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of each type, and the definitions that they refer to."""
    taken = {model for one in operations for model in (one.place, one.question)}
    given = {kind for one in operations for kind in one.answers.values()} | {Problem}
    inputs: Any = [(kind, "validation", TypeAdapter(kind)) for kind in taken]
    inputs += [(kind, "serialization", TypeAdapter(kind)) for kind in given]
    inputs.sort(key=lambda one: str(one[0]))
    found, rest = TypeAdapter.json_schemas(inputs, ref_template=_SCHEMAS)
    definitions: dict[str, Any] = dict(sorted(rest["$defs"].items()))
    for name, schema in definitions.items():
        _explain(schema, {one.__name__: one for one in taken | given if inspect.isclass(one)}.get(name))
    for kind, example in _examples():
        definitions[kind.__name__]["examples"] = [example]
    return {kind: schema for (kind, _), schema in found.items()}, definitions


def _explain(schema: dict[str, Any], kind: type | None) -> None:
    """Give each member the line that its docstring has for it, or that of a class that it is made from."""
    text, _, attributes = schema.get("description", "").partition(_ATTRIBUTES)
    schema["description"] = text.replace("\n", " ")
    told = _inherited(kind) | _lines(attributes)
    for name, member in schema.get("properties", {}).items():
        member.pop("title", None)
        if name in told:
            member["description"] = told[name]


def _inherited(kind: type | None) -> dict[str, str]:
    """The lines of the classes that one is made from, of which a `TypedDict` does not know itself."""
    told: dict[str, str] = {}
    bases: tuple[type, ...] = getattr(kind, "__orig_bases__", getattr(kind, "__bases__", ()))
    for base in bases:
        told |= _inherited(base) | _lines((inspect.getdoc(base) or "").partition(_ATTRIBUTES)[2])
    return told


def _lines(attributes: str) -> dict[str, str]:
    return {name: re.sub(r"\s+", " ", line) for name, line in _ATTRIBUTE.findall(attributes)}


def _operation(one: Operation, schemas: dict[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(one.serve) or "").partition("\n\n")
    told: dict[str, Any] = {"operationId": one.serve.__name__, "summary": summary}
    if more:
        told["description"] = more.replace("\n", " ")
    told["security"] = [{"key": [one.scope]}] if one.scope else []
    parameters = _parameters(definitions[one.place.__name__], "path")
    if one.method == "GET":
        parameters += _parameters(definitions[one.question.__name__], "query")
    else:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas[one.question]}}}
    if parameters:
        told["parameters"] = parameters
    content = {media: {"schema": _content(schemas[kind], media)} for media, kind in one.answers.items()}
    told["responses"] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in one.statuses
    }
    told["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
    return told


def _parameters(schema: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The members of an object, each as a parameter."""
    found: list[dict[str, Any]] = []
    for name, member in schema.get("properties", {}).items():
        # A parameter is there or is not: it has no way to say null.
        (said,) = [one for one in member.get("anyOf", [member]) if one.get("type") != "null"]
        parameter: dict[str, Any] = {"name": name, "in": where, "required": where == "path"}
        parameter["description"] = member["description"]
        parameter["schema"] = {word: value for word, value in said.items() if word != "description"}
        if said["type"] == "array":
            parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    return found


def _content(schema: dict[str, Any], media: str) -> dict[str, Any]:
    """The schema of an answer. Of lines it is that of a text, each line of which is a document."""
    if media != NDJSON:
        return schema
    return {
        "type": "string",
        "description": "Documents, a line each.",
        "contentMediaType": JSON,
        "contentSchema": schema,
    }


def _examples() -> Iterable[tuple[Any, Any]]:
    """What the models make of one device and its server."""
    device = Device(
        server="phones",
        provider="ise",
        id="17",
        name="Anna's phone",
        serial_number="F2LW48ALHG7F",
        mac_addresses=(Mac("00:1B:44:11:3A:B7"),),
        os="iOS",
        os_version="18.5",
        registered=True,
        compliance=Compliance(state=ComplianceState.NONCOMPLIANT, reasons=("The passcode is too short.",)),
    )
    when = datetime(2026, 1, 1, 12, tzinfo=UTC)
    found = Outcome(
        server="phones", provider="ise", status=Status.FOUND, device=device, elapsed_ms=42.0, answered_at=when
    )
    answer = Answer(key=Mac("00:1B:44:11:3A:B7"), device=device, outcomes=(found,))
    decided = Decided(
        when.timestamp(), Asker("rest", "monitoring", "10.1.2.3"), answer, answer.decision, 0.042
    )
    row = decided_row(decided)
    info = ServerInfo(vendor="Example", product="Example MDM", version="4.2", api_version="3")
    yield DecidedRow, row
    yield JournalRow, journal_row(decided)
    yield Device, row["device"]
    yield HeartbeatRow, heartbeat_row(Heartbeat(server="phones", provider="ise", info=info, elapsed_ms=38.5))
    yield Problem, problem_of(ConnectError("the server cannot be reached", server="phones", hint="Check it."))
    yield Question, {"chain": ["guid:51431193-e6c3-4339-9a2b-8f1ff1fd42a2", "mac:00:1B:44:11:3A:B7"]}
