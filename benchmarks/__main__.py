"""All measurements, or those named: ``python -m benchmarks lookups imports memory load``."""

import importlib
import sys

for name in sys.argv[1:] or ("imports", "lookups", "load", "memory"):
    importlib.import_module(f"benchmarks.{name}").main()
