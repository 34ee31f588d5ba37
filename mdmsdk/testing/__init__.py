"""For tests of plugins and applications: the contract suite, `play`, both modes, cassettes, scrubbing.

Needs the extra ``mdmsdk[testing]``. Its fixtures come with the pytest plugin and need no import.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("mdmsdk.testing.contract")

from mdmsdk.testing.cassettes import Operation, load_operations, recording, replaying  # noqa: E402 - after the line above
from mdmsdk.testing.contract import FAULTS, BaseProviderContract  # noqa: E402
from mdmsdk.testing.modes import MODES, Modal, open_client, open_federation  # noqa: E402
from mdmsdk.testing.play import Played, play  # noqa: E402
from mdmsdk.testing.scrub import Pseudonyms  # noqa: E402
from mdmsdk.testing.secrets import find_secrets, secret_values  # noqa: E402

__all__ = [
    "FAULTS",
    "MODES",
    "BaseProviderContract",
    "Modal",
    "Operation",
    "Played",
    "Pseudonyms",
    "find_secrets",
    "load_operations",
    "open_client",
    "open_federation",
    "play",
    "recording",
    "replaying",
    "secret_values",
]
