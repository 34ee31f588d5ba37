"""Cisco's published descriptions of the MDM API as judges of requests and answers; for tests alone.

They are Swagger 2.0, but much stands in prose: the criteria and their values, the names of attributes, the
addresses of version 1, and deviceidentifier in examples only. So they are read here, not by a general
validator.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from xml.etree import ElementTree as ET

SPECS = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[2] / "../shared/specs")
FILES = {
    1: "cisco-ise-mdm-v1-v2.swagger.yaml",
    2: "cisco-ise-mdm-v1-v2.swagger.yaml",
    3: "cisco-ise-mdm-v3.swagger.yaml",
}
# "standardize as 12 HEX without separator", "14 character HEX code or 10 digit decimal code", "true/false",
# "maximum length of 128 bytes"; IMEIs are of 3GPP TS 23.003.
VALUES = {
    "macaddress": re.compile("[0-9A-Fa-f]{12}"),
    "meid": re.compile("[0-9A-Fa-f]{14}|[0-9]{10}"),
    "compliance": re.compile("true|false"),
    "imei": re.compile("[0-9]{14,16}"),
}
PAGE_TOKEN = "paging"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it stands on the wire."""

    method: str
    target: str
    headers: Mapping[str, str]


class Description:
    """One of the two files, seen by a version of the API."""

    def __init__(self, version: int) -> None:
        yaml = pytest.importorskip("yaml", reason="reading the descriptions needs PyYAML")
        path = SPECS / FILES[version]
        if not path.is_file():
            pytest.skip(f"the vendor's description {path.name} is not here; MDMSDK_SPECS names its folder")
        self.version = version
        self.document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.devices = self.operation("/devices/", "get")
        self.criteria = self._criteria()
        self.attributes = self._attributes()
        self.examples = self._examples()

    def operation(self, end: str, method: str) -> dict[str, Any]:
        (found,) = [item[method] for path, item in self.document["paths"].items() if path.endswith(end)]
        return dict(found)

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """The path below the server, the method and the description of each operation."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield path.partition(">")[2], method.upper(), operation

    def parameters(self, operation: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The query parameters; the others describe the answer, or stand in the path."""
        return {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}

    def text_of(self, name: str) -> str:
        (found,) = [one["description"] for one in self.devices["parameters"] if one["name"] == name]
        return str(found)

    def _criteria(self) -> frozenset[str]:
        text = self.text_of("querycriteria")
        if self.version < 3:
            text = re.split("<b>Version [12]:</b>", text)[self.version]
        items = re.findall(r"<li>(.*?)</li>", text)
        return frozenset(re.split(r"[:(]", item)[0].strip().lower().replace(" ", "") for item in items)

    def _attributes(self) -> frozenset[str]:
        names = re.findall(r"<tr><td>(.*?)</td>", self.text_of("filter"))
        elements = self.properties("mdm-device-attributes-response", "deviceList", "device", "attributes")
        return frozenset(name.lower().replace(" ", "_") for name in names) | {one.lower() for one in elements}

    def _examples(self) -> frozenset[str]:
        urls = re.findall(
            r"https://mdm-server/ise/mdm/api(/devicess?/\S*?)(?:\s|<br|</li|$)", self.text_of("Example")
        )
        return frozenset(url.replace("devicess", "devices") for url in urls if "<" not in url)

    def properties(self, definition: str, *path: str) -> dict[str, Any]:
        node = self.document["definitions"][definition]
        for name in path:
            node = node["properties"][name]
        return dict(node["properties"])

    @property
    def identifiers(self) -> frozenset[str]:
        """The values of deviceidentifier, which no parameter but examples describe."""
        asked = (dict(parse_qsl(urlsplit(url).query)) for url in self.examples)
        return frozenset(one["deviceidentifier"] for one in asked if "deviceidentifier" in one)

    # --- requests ---

    def violations(self, asked: Asked, api_path: str, tokens: Sequence[str] = ()) -> list[str]:
        """What a request does otherwise than described; `tokens` are the pages that a server has named."""
        parts = urlsplit(asked.target)
        found = [] if asked.headers.get("authorization") else ["no Authorization"]
        accept = asked.headers.get("accept", "*/*")
        if not re.search(r"\*/\*|application/(\*|xml)", accept):
            found.append("Accept")
        if parts.path.startswith("/ciscoise/mdminfo"):
            return found + self._wrong_info(asked.method, parts.path, parts.query)
        if not parts.path.startswith(api_path):
            return [*found, "path"]
        below = parts.path.removeprefix(api_path)
        if asked.method != "GET":
            return [*found, "method"]
        if self.version == 1:
            return found + self._wrong_path(below, parts.query, tokens)
        return found + self._wrong_query(below, parts.query, tokens)

    def _wrong_info(self, method: str, path: str, query: str) -> list[str]:
        given = parse_qsl(query, keep_blank_values=True)
        if method != "GET":
            return ["method"]
        if path == "/ciscoise/mdminfo":  # the table of versions in the description of the operation
            return ["parameters in version 1"] if given else []
        if path != "/ciscoise/mdminfo/":
            return ["path"]
        (named,) = self.parameters(self.operation("/ciscoise/mdminfo/", "get")).values()
        right = len(given) == 1 and given[0][0] == named["name"] and _is(named["type"], given[0][1])
        return [] if right else [named["name"]]

    # The table of versions: /devices/{paging}/{Query Criteria Category}/{value}/{Attribute filter}
    def _wrong_path(self, below: str, query: str, tokens: Sequence[str]) -> list[str]:
        parts = below.split("/")[1:]
        # All devices stand in an example only: a later page, or other attributes, are the same request.
        if (
            len(parts) == 3
            and parts[1] in {"0", *tokens}
            and not self._wrong_filter(parts[2].replace("+", " "))
        ):
            return [] if f"/{parts[0]}/0/all" in self.examples and not query else ["path"]
        if below in self.examples and not query:
            return []
        if query or len(parts) != 5 or parts[0] != "devices":
            return ["path"]
        _, paging, criterion, value, wanted = map(unquote, parts)
        found = [] if paging in {"0", *tokens} and _is("integer", paging) else ["paging"]
        return found + self._wrong_values(criterion, value) + self._wrong_filter(wanted.replace("+", " "))

    def _wrong_query(self, below: str, query: str, tokens: Sequence[str]) -> list[str]:
        given = parse_qsl(query, keep_blank_values=True)
        asked = dict(given)
        first = query
        if "querycriteria" not in asked and not self._wrong_filter(asked.get("filter", "")):
            first = re.sub("filter=[^&]*", "filter=all", first)
        if asked.get(PAGE_TOKEN) in tokens:
            first = first.replace(f"paging={asked[PAGE_TOKEN]}", "paging=0")
        if f"{below}?{first}" in self.examples:
            return []
        found = [] if below == "/devices/" else ["path"]
        known = self.parameters(self.devices)
        extra = {"deviceidentifier"} if self.identifiers else set()
        found += [f"unknown {name}" for name in asked.keys() - known.keys() - extra]
        found += ["twice"] if len(given) != len(asked) else []
        for name, one in known.items():
            if one["required"] and not asked.get(name):
                found.append(f"no {name}")
            elif not _is(one["type"], asked[name]):
                found.append(f"{name} is no {one['type']}")
        if asked.get(PAGE_TOKEN) not in {"0", *tokens}:
            found.append(PAGE_TOKEN)
        if "deviceidentifier" in asked:
            listed = asked.get("querycriteria") == "compliance"
            right = listed and asked["deviceidentifier"] in self.identifiers
            found += [] if right else ["deviceidentifier"]
        found += self._wrong_values(asked.get("querycriteria", ""), asked.get("value", ""))
        return found + self._wrong_filter(asked.get("filter", ""))

    def _wrong_values(self, criterion: str, value: str) -> list[str]:
        if criterion not in self.criteria:
            return ["querycriteria"]
        form = VALUES.get(criterion)
        right = (
            form.fullmatch(value) if form else value and (criterion != "guid" or len(value.encode()) <= 128)
        )
        return [] if right else ["value"]

    # By the examples the names are joined by +, which is a blank in a query.
    def _wrong_filter(self, wanted: str) -> list[str]:
        names = {name.lower() for name in wanted.split(" ")}
        return [] if wanted == "all" or names <= self.attributes else ["filter"]

    # --- answers ---

    def faults(self, page: ET.Element, definition: str) -> list[str]:
        """What an answer has otherwise than described: other elements, values of another type, empty ones."""
        return list(self._faults(page, self.document["definitions"][definition], definition))

    def _faults(self, element: ET.Element, schema: Mapping[str, Any], name: str) -> Iterator[str]:
        if schema["type"] != "object":
            if len(element) or not _is(schema["type"], element.text or ""):
                yield f"{name} is no {schema['type']}: {element.text!r}"
            return
        known = {**schema["properties"], **self._spoken_of(name)}
        seen = [child.tag for child in element]
        if name != "deviceList" and len(seen) != len(set(seen)):
            yield f"{name} has children twice"
        for child in element:
            if child.tag in known:
                yield from self._faults(child, known[child.tag], child.tag)
            else:
                yield f"{name} has {child.tag}"

    def _spoken_of(self, name: str) -> dict[str, Any]:
        """What the tables and the examples have beside the schemas."""
        text = {"type": "string"}
        if name == "device":
            return dict.fromkeys(("macaddress", "guid") if self.version > 2 else ("macaddress",), text)
        if name == "attributes":
            rows = re.findall(r"<tr><td>(.*?)</td><td>(\w+)</td>", self.text_of("filter"))
            return {one.lower().replace(" ", "_"): {"type": kind.lower()} for one, kind in rows}
        return {}


def _is(kind: str, text: str) -> bool:
    if kind == "integer":
        return text.isascii() and text.isdecimal()
    return text in {"true", "false"} if kind == "boolean" else bool(text)
