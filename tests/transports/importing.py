"""A program that prints which modules an exchange imports: the origin, a file with its authority."""

from __future__ import annotations

import sys
from pathlib import Path

from mdmsdk._run.http import Http
from mdmsdk.settings import ProviderSettings, TlsSettings
from mdmsdk.wire import Request


def main(origin: str, authority: str) -> list[str]:
    http = Http(ProviderSettings(base_url=origin, tls=TlsSettings(ca_file=Path(authority))))
    before = set(sys.modules)
    assert http.exchange(Request("GET", origin), 10.0, 1000).status == 200
    http.close()
    return sorted(set(sys.modules) - before)


if __name__ == "__main__":
    print(main(*sys.argv[1:]))  # noqa: T201 - the result
