"""All measurements, or those named: ``python -m benchmarks lookups imports memory``."""

import importlib
import sys

for name in sys.argv[1:] or ("imports", "lookups", "memory"):
    importlib.import_module(f"benchmarks.{name}").main()
