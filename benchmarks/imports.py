"""Time to import, against what has to be imported anyway."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

ROUNDS = 25


def cpu(arguments: list[str]) -> float:
    """Milliseconds of CPU that a fresh interpreter takes."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    ) * 1000


def compare(name: str, ours: list[str], other: list[str]) -> None:
    """Print both times and the median of their ratios in neighbouring runs."""
    cpu(ours), cpu(other)
    pairs = [(cpu(other), cpu(ours)) for _ in range(ROUNDS)]
    base, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name}: {base:.0f} ms against {mine:.0f} ms, ratio {mine / base:.2f}")


def main() -> None:
    """Print all comparisons."""
    compare("import pydantic / import mdmsdk", ["-c", "import mdmsdk"], ["-c", "import pydantic"])
    compare(
        "pydantic.BaseModel / mdmsdk.Device",
        ["-c", "from mdmsdk import Device"],
        ["-c", "from pydantic import BaseModel; type('M', (BaseModel,), {'__annotations__': {'x': int}})"],
    )
    compare(
        "import typer / mdm --version",
        ["-c", "from mdmsdk.cli import main; main()", "--version"],
        ["-c", "import typer"],
    )
    code = "import mdmsdk, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = {"httpx", "httpx2", "stevedore", "tenacity", "lxml", "msal", "rich"} & set(loaded)
    print(
        f"import mdmsdk loads of httpx, stevedore, tenacity, lxml, msal, rich: {', '.join(heavy) or 'none'}"
    )


if __name__ == "__main__":
    main()
