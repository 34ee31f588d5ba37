"""A program that forks while its threads are asking: prints how many answers were wrong or missing.

Arguments: the origin, a file with its authority, how many children.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from mdmsdk._run.http import Http
from mdmsdk.settings import ProviderSettings, TlsSettings
from mdmsdk.wire import Request

SECONDS = 30.0


def main(origin: str, authority: str, count: int) -> int:
    http = Http(ProviderSettings(base_url=origin, tls=TlsSettings(ca_file=Path(authority))))
    done = threading.Event()
    wrong = []

    def ask(name: str, times: int) -> int:
        paths = [f"/{name}/{turn}" for turn in range(times)]
        return sum(http.exchange(Request("GET", origin + path), SECONDS, 1000).text != path for path in paths)

    def keep_asking(name: str) -> None:
        while not done.is_set():
            wrong.append(ask(name, 5))

    threads = [threading.Thread(target=keep_asking, args=(f"thread-{n}",), daemon=True) for n in range(3)]
    for thread in threads:
        thread.start()
    failed = 0
    for first in range(0, count, 5):
        children = []
        for number in range(first, min(first + 5, count)):
            if not (child := os.fork()):
                status = 99
                try:
                    status = ask(f"child-{number}", 5)
                finally:
                    os._exit(status)
            children.append(child)
        failed += sum(ended(child) != 0 for child in children)
    done.set()
    for thread in threads:
        thread.join()
    return sum(wrong) + failed


def ended(child: int) -> int | None:
    """How a child ended; None where it did not in time."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))  # noqa: T201 - the result
