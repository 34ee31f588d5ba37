"""What clients ask the ISE simulator to do to devices: reading the bodies, and remembering them."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from xml.etree import ElementTree as ET

__all__ = ["RecordedAction", "RecordedMessage", "texts"]


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """An action that a client asked for.

    Attributes:
        action: `full_wipe`, `corporate_wipe` or `pin_lock`.
        identifier: `macaddress`, `guid` or `guidhn`.
        value: Of the identifier, as it came.
        device_id: None when no enrolled device has the identifier.
        api_version: Of the path that was called.
    """

    action: str
    identifier: str
    value: str
    device_id: int | None
    api_version: int


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """A message that a client sent.

    Attributes:
        identifier: `macaddress`, `guid` or `guidhn`.
        value: Of the identifier, as it came.
        device_id: None when no enrolled device has the identifier.
        message_type: Such as `Alert`.
        header: First line.
        body: Text.
    """

    identifier: str
    value: str
    device_id: int | None
    message_type: str
    header: str
    body: str


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
