"""Keys from files: lists, and CSV as consoles and spreadsheets write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdmsdk.cli.keys import all_keys
from mdmsdk.errors import ConfigurationError
from mdmsdk.identifiers import Hostname, Key, Mac, Serial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run

MAC, OTHER = "00:1B:44:11:3A:B7", "00:1B:44:11:3A:B8"
Read = "Callable[..., list[Key | str]]"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Key | str]]:
    def read_one(content: str | bytes, column: str | None = None, by: str | None = None) -> list[Key | str]:
        path = tmp_path / "keys.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with all_keys((), str(path), by=by, column=column) as (keys, total):
            found = list(keys)
        assert total == len(found)
        return found

    return read_one


@pytest.mark.parametrize(
    "text",
    [
        f"{MAC}\n{OTHER}\n",
        f"# keys\n\n{MAC}, a comment\n  {OTHER}\n",
        f"{MAC};phone\r\n{OTHER};tablet\r\n",
        f'"{MAC}"\t"a; b"\n"{OTHER}"\n',
        f"\ufeffMAC\n{MAC}\n{OTHER}\n",
        f"Name;Wi-Fi MAC Address;OS\nPhone, of me;{MAC};iOS\n;{OTHER};\n",
        f'Computer Name,Serial Number,"MAC Address"\na,C02,{MAC}\n"b,c",C03,{OTHER}\n',
        f"name\tmac_address\na\t{MAC}\nb\t{OTHER}\n",
        f"id,device.mac_addresses\n1,{MAC}; 00:00:5E:00:53:01\n2,{OTHER}\n",
    ],
    ids=["list", "comments", "semicolons", "tabs", "mark", "titles", "quotes", "tab titles", "our own"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_macs(read: Callable[..., list[Key | str]], text: str, encoding: str) -> None:
    content = text.lstrip("\ufeff").encode(encoding) if encoding == "utf-16" else text.encode(encoding)
    assert read(content) == [Mac(MAC), Mac(OTHER)]


def test_the_title_tells_the_kind(read: Callable[..., list[Key | str]]) -> None:
    assert read("Serial No.;User\nC02XK0AAJG5H;x\n") == [Serial("C02XK0AAJG5H")]
    assert read("mac;hostname\n;pc-1\n", "hostname") == [Hostname("pc-1")]
    assert read("key,device.mac_addresses\nserial:C02XK0AAJG5H,\n") == [Serial("C02XK0AAJG5H")]


def test_a_column_by_title_or_number(read: Callable[..., list[Key | str]]) -> None:
    text = f"Dock,Laptop\n{MAC},{OTHER}\n"
    assert read(text, "laptop") == [Mac(OTHER)]
    assert read(f"x,{MAC}\ny,{OTHER}\n", "2") == [Mac(MAC), Mac(OTHER)]
    assert read(f"mac,old mac\n{MAC},{OTHER}\n", "2") == [Mac(OTHER)]
    with pytest.raises(ConfigurationError, match=r"no column 'Laptp', is Laptop meant\?") as refused:
        read(text, "Laptp")
    assert refused.value.hint == "It has: Dock, Laptop."
    for wrong in ("0", "3"):
        with pytest.raises(ConfigurationError, match=f"has no column {wrong}"):
            read(text, wrong)


def test_a_row_without_a_value_is_not_passed_over(read: Callable[..., list[Key | str]]) -> None:
    assert read(f"name,mac\na,{MAC}\nb,\nc\n") == [Mac(MAC), "mac:", "mac:"]


def test_quotes_that_do_not_end(read: Callable[..., list[Key | str]]) -> None:
    with pytest.raises(ConfigurationError, match="is not CSV"):
        read(f'"{MAC}\n{OTHER}\n')


def test_on_the_command_line(mdm: Run, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text("name;mac\na;00:00:5E:00:53:FE\nb;\n")
    result = mdm("lookup", "--config", config, "--input", path)
    assert result.code == 2, "a device was not asked for"
    assert [line["kind"] for line in result.lines] == ["mac", None]
    result = mdm("lookup", "--config", config, "--input", path, "--column", "mca")
    assert (result.code, result.out) == (2, "")
    assert "no column 'mca', is mac meant?" in result.err
    result = mdm("lookup", "--config", config, "x", "--column", "mac")
    assert (result.code, result.out) == (2, "")
    result = mdm(
        "lookup", "--config", config, "--input", "-", stdin="\ufeffmac\n00:00:5E:00:53:FE\n".encode()
    )
    assert [line["kind"] for line in result.lines] == ["mac"]
