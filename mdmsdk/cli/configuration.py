"""The command `config trust`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdmsdk.cli.formats import writing
from mdmsdk.cli.output import Column, View
from mdmsdk.cli.report import OK
from mdmsdk.config import FILE_NAME, load_config
from mdmsdk.trust import trust as trust_file

if TYPE_CHECKING:
    from mdmsdk.cli.options import Format

_COLUMNS = [Column("TRUSTED", lambda row: row["trusted"])]


def trust(path: Path | None, chosen: Format | None) -> int:
    """Trust a configuration as it is now, if it is one."""
    place = load_config(path or Path(FILE_NAME)).path
    with writing(View(table=_COLUMNS, csv=_COLUMNS), chosen) as out:
        out.write({"trusted": str(trust_file(place))})
    return OK
