"""All measurements, or those named: ``python -m benchmarks lookups judge``."""

import importlib
import sys

for name in sys.argv[1:] or (
    "imports",
    "lookups",
    "judge",
    "load",
    "keys",
    "memory",
    "store",
    "cache",
    "directory",
    "gateway",
):
    importlib.import_module(f"benchmarks.{name}").main()
