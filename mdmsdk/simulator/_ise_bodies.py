"""Reading the bodies that clients send to the ISE simulator."""

import re
from collections.abc import Set as AbstractSet
from xml.etree import ElementTree as ET

__all__ = ["texts"]


def texts(body: bytes, names: AbstractSet[str]) -> list[tuple[str, str]]:
    """Read the texts of the named elements, in any namespace, also from the XML part of a multipart body."""
    found = re.search(rb"<(?:\w+:)?ise_api\b.*</(?:\w+:)?ise_api\s*>", body, re.DOTALL)
    if found is None:
        return []
    try:
        root = ET.fromstring(found[0])  # noqa: S314 - cut out from its root on: no document type is left
    except ET.ParseError:
        return []
    elements = ((element.tag.rpartition("}")[2], (element.text or "").strip()) for element in root.iter())
    return [(name, text) for name, text in elements if name in names and text]
