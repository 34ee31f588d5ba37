"""The commands `config trust` and `config check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdmsdk.cli.formats import writing
from mdmsdk.cli.output import Column, View
from mdmsdk.cli.report import OK, WRONG, say
from mdmsdk.config import FILE_NAME, load_config
from mdmsdk.config_check import check_config
from mdmsdk.trust import trust as trust_file

if TYPE_CHECKING:
    from mdmsdk.cli.options import Format

_COLUMNS = [Column("TRUSTED", lambda row: row["trusted"])]


_PROBLEMS = [
    Column("LINE", lambda row: row["line"]),
    Column("SETTING", lambda row: row["setting"]),
    Column("PROBLEM", lambda row: row["problem"]),
    Column("WHAT TO DO", lambda row: row["remedy"]),
]


def check(path: Path | None, chosen: Format | None) -> int:
    """Write one row for each problem of a configuration."""
    problems = check_config(path)
    with writing(View(table=_PROBLEMS, csv=_PROBLEMS), chosen) as out:
        for one in problems:
            out.write({"line": one.line, "setting": one.place, "problem": one.message, "remedy": one.hint})
    if not problems:
        say("no problem found")
    return WRONG if problems else OK


def trust(path: Path | None, chosen: Format | None) -> int:
    """Trust a configuration as it is now, if it is one."""
    place = load_config(path or Path(FILE_NAME)).path
    with writing(View(table=_COLUMNS, csv=_COLUMNS), chosen) as out:
        out.write({"trusted": str(trust_file(place))})
    return OK
