"""The description of the REST face is whole, and true."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from mdmsdk.gateway import GatewaySettings
from mdmsdk.gateway.asgi import build
from mdmsdk.testing import FakeAsyncMdmFederation
from tests.gateway.conftest import GUID, MAC, SETTINGS, device

if TYPE_CHECKING:
    import httpx

    from tests.gateway.conftest import Faces, Open

KEPT = Path(__file__).parents[2] / "docs" / "openapi.json"


def check(told: dict[str, Any], response: httpx.Response, path: str, method: str = "get") -> None:
    """Hold an answer against what is said of it."""
    responses = told["paths"][path][method]["responses"]
    said = responses.get(str(response.status_code), told["components"]["responses"]["Problem"])
    media = response.headers["Content-Type"].partition(";")[0]
    schema = said["content"][media]["schema"]
    parts = response.text.splitlines() if media == "application/x-ndjson" else [response.text]
    for part in parts:
        validator = OAS31Validator({**schema.get("contentSchema", schema), "components": told["components"]})
        validator.validate(json.loads(part) if "json" in media else part)


def test_the_description_is_one_and_the_docs_have_it(gateway: Open) -> None:
    faces: Faces = gateway({"one": []})
    told = faces.rest.get("/openapi.json", headers={"Authorization": ""}).json()
    OpenAPIV31SpecValidator(told).validate()
    text = json.dumps(told, indent=1) + "\n"
    if os.environ.get("MDM_SCREENS") == "new":
        KEPT.write_text(text, encoding="utf-8")
    assert KEPT.read_text(encoding="utf-8") == text, "MDM_SCREENS=new writes it anew"


def test_every_request_of_the_face_is_described(gateway: Open) -> None:
    # Metrics have a description of their own, the format of Prometheus; the page is for people.
    rest = {**SETTINGS["rest"], "page": False}
    settings = GatewaySettings.model_validate({"rest": rest, "metrics": "off"})
    door = build(FakeAsyncMdmFederation({"one": []}), settings)
    served = {
        (route.path.replace(":path}", "}"), method.lower())
        for route in door._inner.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    told = gateway({"one": []}).rest.get("/openapi.json").json()
    assert {(path, method) for path, methods in told["paths"].items() for method in methods} == served
    for methods in told["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert all(one["description"] for one in operation.get("parameters", ()))


def test_examples_and_answers_are_as_described(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(name="x"), device("noncompliant", id="2")]})
    told = faces.rest.get("/openapi.json").json()
    examples = 0
    for schema in told["components"]["schemas"].values():
        for example in schema.get("examples", ()):
            OAS31Validator({**schema, "components": told["components"]}).validate(example)
            examples += 1
    assert examples >= 5
    check(told, faces.rest.get(f"/v1/devices/mac/{MAC}"), "/v1/devices/{kind}/{value}")
    check(told, faces.rest.get("/v1/devices/mac/none"), "/v1/devices/{kind}/{value}")
    for body in ({"chain": [f"guid:{GUID}", f"mac:{MAC}"]}, {"keys": [f"mac:{MAC}", "no key"]}, {}):
        check(told, faces.rest.post("/v1/lookup", json=body), "/v1/lookup", "post")
    for path in ("/v1/noncompliant", "/v1/devices", "/v1/servers", "/healthz", "/readyz"):
        check(told, faces.rest.get(path), path)
        check(told, faces.rest.get(path, params={"another": "1"}), path)
