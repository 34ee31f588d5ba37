"""The gateway against a Starlette application that answers a constant, under h2load (package nghttp2-client).

The server has one processor; h2load and the MDM server have another one. Ratios are those of neighbouring
runs. The processor's time is told beside the clock, for other programs may be on the machine, too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.simulator import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS, REQUESTS, CLIENTS, DEVICES = 5, 2000, 16, 100
RATE, SECONDS = 500, 10
SERVERS, OTHERS = 0, 1
"""The processors."""
KEY = "a-key-of-the-benchmark"
HEADERS = {
    "ise": "Authorization: Basic " + base64.b64encode(b"controller:a-long-password").decode(),
    "rest": f"Authorization: Bearer {KEY}",
    "constant": "Accept: */*",
}
PATHS = {
    "ise": "/ciscoise/mdmapi/v3/devices/?paging=0&querycriteria=macaddress&value={}&filter=all",
    "rest": "/v1/devices/mac/{}",
}
PATHS["constant"] = PATHS["ise"]
GATEWAY = f"""
[gateway]
listen = "127.0.0.1:0"
rate = 1000000.0
[gateway.ise]
username = "controller"
password = "a-long-password"
[[gateway.rest.keys]]
name = "benchmark"
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
[federation]
"""
MDM = (sys.executable, "-c", "import sys; from mdmsdk.cli import main; sys.exit(main())")


class Served(NamedTuple):
    """A server, and the pages that it is asked for.

    Attributes:
        process: what serves.
        origin: of its address.
        face: whose pages.
        pages: a file with them, a line each.
    """

    process: subprocess.Popen[bytes]
    origin: str
    face: str
    pages: Path


class Load(NamedTuple):
    """What h2load saw.

    Attributes:
        rate: requests per second.
        processor: seconds of the server's processor for each request.
        took: seconds of each request, sorted.
    """

    rate: float
    processor: float
    took: list[float]


@contextmanager
def started(
    folder: Path, processor: int, *command: str, word: str = "serving on"
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process, and what it says after a word of its log; it ends with the block."""
    log = folder / f"{time.monotonic_ns()}.log"
    with log.open("wb") as said:
        pinned = ["taskset", "-c", str(processor), *command]
        process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        for _ in range(600):
            if found := re.search(rf"{word} (\S+)", log.read_text()):
                break
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            found = None
        if found is None:
            raise RuntimeError(log.read_text())
        yield process, found[1]
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def seconds_of(process: subprocess.Popen[bytes]) -> float:
    """How long a process and its workers were on a processor."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    spent = 0
    for number in (process.pid, *children):
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / os.sysconf("SC_CLK_TCK")


def load(served: Served, *how: str) -> Load:
    """Ask; every answer has to be a good one."""
    times = served.pages.with_suffix(".times")
    times.unlink(missing_ok=True)
    before = seconds_of(served.process)
    command = ["taskset", "-c", str(OTHERS), "h2load", "--h1", "-i", str(served.pages), *how]
    command += ["-H", HEADERS[served.face], f"--log-file={times}"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=120
    )
    spent = seconds_of(served.process) - before
    rows = [line.split() for line in times.read_text().splitlines()]
    assert rows, done.stdout
    assert {row[1] for row in rows} == {"200"}, done.stdout
    assert " 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
    rate = float(re.findall(r"([\d.]+) req/s", done.stdout)[0])
    return Load(rate, spent / len(rows), sorted(int(row[2]) / 1e6 for row in rows))


def pages(folder: Path, origin: str, face: str, macs: list[str]) -> Path:
    """A file with what a face is asked for."""
    path = folder / f"{time.monotonic_ns()}.pages"
    path.write_text("".join(f"{origin}{PATHS[face].format(mac)}\n" for mac in macs))
    return path


def serve(stack: ExitStack, folder: Path, name: str, text: str, macs: list[str]) -> dict[str, Served]:
    """A gateway's faces."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    process, origin = stack.enter_context(started(folder, SERVERS, *MDM, "serve", "--config", str(path)))
    return {
        face: Served(process, origin, face, pages(folder, origin, face, macs)) for face in ("ise", "rest")
    }


def throughput(faces: dict[str, Served]) -> None:
    """How many answers of the cache there are, beside a constant."""
    many = ("-n", str(REQUESTS), "-c", str(CLIENTS))
    for served in faces.values():  # fills the cache
        load(served, *many)
    rounds = [{name: load(served, *many) for name, served in faces.items()} for _ in range(ROUNDS)]
    for face in ("ise", "rest"):
        rates = sorted(one[face].rate / one["constant"].rate for one in rounds)
        times = sorted(one["constant"].processor / one[face].processor for one in rounds)
        spent = statistics.median(one[face].processor for one in rounds)
        print(
            f"cached, {face}: {statistics.median(one[face].rate for one in rounds):,.0f}/s, "
            f"{statistics.median(rates):.2f} ({rates[0]:.2f} to {rates[-1]:.2f}) of a constant; "
            f"{spent * 1e6:.0f} us of processor, {statistics.median(times):.2f} "
            f"({times[0]:.2f} to {times[-1]:.2f})"
        )
    print(
        f"constant: {statistics.median(one['constant'].rate for one in rounds):,.0f}/s, "
        f"{statistics.median(one['constant'].processor for one in rounds) * 1e6:.0f} us of processor"
    )


def at_a_rate(faces: dict[str, Served]) -> None:
    """How long answers of the cache take at a steady rate."""
    steady = ("-c", "10", f"--rps={RATE // 10}", "-D", str(SECONDS))
    for name, served in faces.items():
        took = load(served, *steady).took
        print(
            f"{len(took) / SECONDS:.0f}/s, {name}: median {statistics.median(took) * 1e3:.1f} ms, "
            f"p99 {took[len(took) * 99 // 100] * 1e3:.1f} ms, longest {took[-1] * 1e3:.1f} ms"
        )


def directly(path: Path, macs: list[str]) -> float:
    """Seconds of one lookup by the library, the median."""

    async def ask() -> float:
        async with AsyncMdmFederation.from_config(path) as federation:
            times = []
            for mac in macs[:20] + macs:
                began = time.perf_counter()
                assert (await federation.lookup(f"mac:{mac}")).complete
                times.append(time.perf_counter() - began)
            return statistics.median(times[20:])

    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVERS})
    try:
        return asyncio.run(ask())
    finally:
        os.sched_setaffinity(0, before)


def uncached(faces: dict[str, Served], path: Path, macs: list[str]) -> None:
    """How much longer a lookup takes over the gateway than by the library, where a server is asked."""
    one_by_one = ("-n", str(len(macs)), "-c", "1")
    for served in faces.values():
        load(served, *one_by_one)
    for face, served in faces.items():
        pairs = [
            (directly(path, macs), statistics.median(load(served, *one_by_one).took)) for _ in range(ROUNDS)
        ]
        more = sorted((over - alone) * 1e3 for alone, over in pairs)
        alone = statistics.median(pair[0] for pair in pairs) * 1e3
        print(
            f"uncached, {face}: {alone:.1f} ms by the library, {statistics.median(more):+.1f} ms "
            f"({more[0]:+.1f} to {more[-1]:+.1f}) over the gateway"
        )


def workers(stack: ExitStack, folder: Path, text: str, macs: list[str]) -> None:
    """What an answer of the cache in Redis costs two workers, beside what it costs one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    redis = ("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "")
    stack.enter_context(started(folder, OTHERS, *redis, word="Ready to accept"))
    text += f'cache_ttl = 3600\n[store]\nurl = "redis://127.0.0.1:{port}/0"\nkey = "a-key-of-the-store"\n'
    gateways = [
        serve(stack, folder, f"{count}.toml", text.replace("rate =", f"workers = {count}\nrate ="), macs)
        for count in (1, 2)
    ]
    many = ("-n", str(REQUESTS), "-c", str(CLIENTS))
    for face in ("ise", "rest"):
        rounds = [[load(faces[face], *many).processor for faces in gateways] for _ in range(ROUNDS + 1)][1:]
        ratios = sorted(two / one for one, two in rounds)
        print(
            f"on Redis, {face}: {statistics.median(one for one, _ in rounds) * 1e6:.0f} us of processor "
            f"with one worker, with two {statistics.median(ratios):.2f} times as much "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def main() -> None:
    """Print all."""
    if not (shutil.which("h2load") and shutil.which("taskset") and os.cpu_count() != 1):
        print("gateway: h2load (nghttp2-client), taskset and two processors are needed")
        return
    # Who ends the benchmark, ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        simulated = folder / "simulated.toml"
        stack.enter_context(
            started(
                folder,
                OTHERS,
                *MDM,
                "simulate",
                "ise",
                "--size",
                str(DEVICES),
                "--seed",
                "1",
                "--write",
                str(simulated),
                word="configured in",
            )
        )
        text = simulated.read_text() + GATEWAY
        macs = [one.mac_addresses[0] for one in Fleet.generate(size=DEVICES, seed=1) if one.mac_addresses]
        plain, origin = stack.enter_context(
            started(folder, SERVERS, sys.executable, "-m", "benchmarks.constant")
        )
        constant = Served(plain, origin, "constant", pages(folder, origin, "constant", macs))
        faces = serve(stack, folder, "cached.toml", text + "cache_ttl = 3600\n", macs)
        throughput({"constant": constant, **faces})
        at_a_rate({"constant": constant, **faces})
        faces = serve(stack, folder, "uncached.toml", text + "cache_ttl = 0\n", macs)
        uncached(faces, folder / "uncached.toml", macs)
        if shutil.which("redis-server"):
            workers(stack, folder, text, macs)


if __name__ == "__main__":
    main()
