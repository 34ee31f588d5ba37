"""Versions of an API that are on their way out, as the server itself tells in the header of its answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mdmsdk.models import clean_time
from mdmsdk.wire import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping


def outdated_by(fields: Mapping[str, str]) -> str | None:
    """What a header says about the end of what was asked; None where it says nothing.

    ``Deprecation`` is ``@SECONDS`` (RFC 9745), ``Sunset`` a date (RFC 8594).
    """
    began, ends = fields.get("deprecation"), fields.get("sunset")
    told = []
    if began and (seconds := re.fullmatch(r"@(\d{1,11})", began.strip())):
        told.append(f"deprecated since {datetime.fromtimestamp(int(seconds[1]), UTC):%Y-%m-%d}")
    elif began:
        told.append("deprecated")
    if ends and (moment := clean_time(http_date(ends))):
        told.append(f"to be switched off on {moment:%Y-%m-%d}")
    if not told:
        return None
    return (
        f"The server says that this version of its API is {' and '.join(told)}: update mdmsdk or its plugin."
    )
