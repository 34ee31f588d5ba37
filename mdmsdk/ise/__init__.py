"""The Cisco ISE MDM API, versions 1 to 3: the provider ``ise``, and what a vendor's dialect builds on.

`IseProvider` speaks with any server of the API by HTTP Basic authentication. A dialect with that login is a
subclass of it, one with another login a subclass of `IseDialect`; either states only what differs.
"""

from mdmsdk.ise.devices import read_device
from mdmsdk.ise.discovery import IseDescription
from mdmsdk.ise.protocol import CRITERIA, Criterion, Query
from mdmsdk.ise.provider import IseDialect, IseProvider
from mdmsdk.ise.reader import Answer, Row, boolean, read_answer
from mdmsdk.ise.settings import IseDialectSettings, IseServiceSettings, IseSettings

__all__ = [
    "CRITERIA",
    "Answer",
    "Criterion",
    "IseDescription",
    "IseDialect",
    "IseDialectSettings",
    "IseProvider",
    "IseServiceSettings",
    "IseSettings",
    "Query",
    "Row",
    "boolean",
    "read_answer",
    "read_device",
]
