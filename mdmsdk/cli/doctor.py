"""The command `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.cli.formats import writing
from mdmsdk.cli.report import FAILED, WRONG, Tally
from mdmsdk.cli.rows import DOCTOR
from mdmsdk.doctor import diagnose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mdmsdk.cli.options import Format


def doctor(config: Path | None, chosen: Format | None, names: Sequence[str], *, redacted: bool) -> int:
    """Write one row for each step on the way to each server."""
    tally = Tally()
    with writing(DOCTOR, chosen) as out:
        for finding in diagnose(config, servers=names or None, redacted=redacted):
            out.write(finding.as_row())
            if finding.ok is False:
                tally.note(WRONG if finding.misconfigured else FAILED)
    return tally.code
