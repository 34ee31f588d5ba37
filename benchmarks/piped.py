"""Very many keys from stdin to ``mdm lookup``: when the first answer comes, and what memory they take.

``python -m benchmarks.piped [KEYS] [SERVERS]``. Fails where memory grows with the number of keys.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from benchmarks.server import INFO, Static, static_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_MDM = "from mdmsdk.cli import main; main()"
_MORE = 1.25
"""What the peak may grow by, as the allocator leaves holes."""
SHARES = (0.25, 0.5, 0.75, 1.0)
_SERVER = """[servers.s{number}]
provider = "ise"
base_url = "{origin}"
username = "ise"
password = "benchmark"
[servers.s{number}.policy]
deadline = 120.0
"""
_DEVICE = """<?xml version="1.0"?><ise_api><name>attributes</name><api_version>3</api_version>
<paging_info>0</paging_info><deviceList><device><guid>8e2f8d0c-3d5e-4a55-9f7a-{mac}</guid><attributes>
<register_status>true</register_status><compliance><status>true</status></compliance>
<manufacturer>Bench</manufacturer><model>Tablet 9</model><udid>00008020-0015{mac}</udid>
<serial_number>{mac}</serial_number><os_version>iOS 18.1</os_version>
<macaddresses>{mac}</macaddresses></attributes></device></deviceList></ise_api>"""


class Every(Static):
    """Knows a device for each MAC address."""

    def body(self, request: bytes) -> bytes:
        """The device of which it is asked."""
        line = request.split(b"\r\n", 1)[0]
        if b"mdminfo" in line:
            return INFO
        mac = re.search(r"[0-9A-F]{12}", re.sub(r"%3A|[:-]", "", line.decode().upper()))
        assert mac, line
        return _DEVICE.format(mac=mac[0].lower()).encode()


class Piped:
    """``mdm lookup`` in a process of its own, with keys from a pipe, and its progress on a terminal.

    Attributes:
        first: seconds from the first key to the first answer.
        memory: the most bytes that it had used, by the number of answers that had come.
        after: seconds until those had come.
        worked: seconds of processor time that it took.
        bars: what its bar showed, each once.
    """

    def __init__(self, config: Path, keys: int, marks: Iterator[int]) -> None:
        self.first = 0.0
        self.memory: dict[int, int] = {}
        self.after: dict[int, float] = {}
        self.worked = 0.0
        self.bars: dict[str, None] = {}
        self._keys, self._marks = keys, marks
        self._terminal, theirs = os.openpty()
        # Its answers go to a terminal, too: next to a pipe no bar is shown.
        self._answers, stdout = os.openpty()
        command = (sys.executable, "-c", _MDM, "lookup", "--input", "-", "--format", "ndjson")
        self._process = subprocess.Popen(
            [*command, "--config", config], stdin=subprocess.PIPE, stdout=stdout, stderr=theirs
        )
        os.close(theirs)
        os.close(stdout)

    def run(self) -> None:
        """Give it all keys, and read what it writes until it ends."""
        assert self._process.stdin
        threads = [
            threading.Thread(target=work, args=arguments)
            for work, arguments in ((self._write, (self._process.stdin,)), (self._watch, ()))
        ]
        for thread in threads:
            thread.start()
        came, began, mark = 0, time.monotonic(), next(self._marks)
        for chunk in _read(self._answers):
            self.first = self.first or time.monotonic() - began
            came += chunk.count(b"\n")
            if came >= mark:
                self.memory[mark], self.after[mark] = self._peak(), time.monotonic() - began
                mark = next(self._marks, self._keys + 1)
        for thread in threads:
            thread.join()
        before = _worked()
        code = self._process.wait()
        self.worked = _worked() - before
        assert (code, came) == (0, self._keys)

    def _write(self, stdin: IO[bytes]) -> None:
        with stdin:
            for number in range(self._keys):
                stdin.write(b"mac:%012x\n" % (0x00005E000000 + number))

    def _watch(self) -> None:
        for chunk in _read(self._terminal):
            self.bars |= dict.fromkeys(re.findall(r"\d+ keys", chunk.decode()))

    def _peak(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _worked() -> float:
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(terminal: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # EIO: the other side has gone
        while chunk := os.read(terminal, 1 << 20):
            yield chunk
    os.close(terminal)


def measure(keys: int, servers: int, *, cache: bool) -> Piped:
    """Look up so many keys at so many servers."""
    with tempfile.TemporaryDirectory() as folder, static_server(Every) as origin:
        config = Path(folder, "mdm.toml")
        tables = [_SERVER.format(number=number, origin=origin) for number in range(servers)]
        ttl = "" if cache else "[federation]\ncache_ttl = 0\n"
        config.write_text("".join([*tables, ttl]), encoding="utf-8")
        config.chmod(0o600)
        piped = Piped(config, keys, iter([int(keys * share) for share in SHARES]))
        piped.run()
    return piped


def main(keys: int = 100_000, servers: int = 1) -> None:
    """Print when the first answer came and what memory was used, with the cache and without."""
    for cache in (False, True):
        piped = measure(keys, servers, cache=cache)
        used = ", ".join(
            f"{piped.memory[count] / 1e6:.1f} MB at {count:,} after {piped.after[count]:.0f} s"
            for count in piped.memory
        )
        print(
            f"{keys:,} keys from stdin {'with' if cache else 'without'} cache: first answer after "
            f"{piped.first:.2f} s, {keys / max(piped.after.values()):.0f} keys/s, and "
            f"{keys / piped.worked:.0f} in a second of processor time; {len(piped.bars)} states of the bar; "
            f"peaks of {used}",
            flush=True,
        )
        first, *_, last = piped.memory.values()
        assert last < first * _MORE, "memory grows with the number of keys"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
