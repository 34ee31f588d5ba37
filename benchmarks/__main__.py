"""All measurements, or those named: ``python -m benchmarks lookups judge imports memory load``."""

import importlib
import sys

for name in sys.argv[1:] or ("imports", "lookups", "judge", "load", "memory"):
    importlib.import_module(f"benchmarks.{name}").main()
