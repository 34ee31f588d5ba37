"""The contract suite: what every provider must do, as tests that a plugin inherits.

A plugin's whole test file may be::

    from mdmsdk.testing import BaseProviderContract

    class TestAcme(BaseProviderContract):
        provider = "acme"

Each test runs in sync and in async, against the plugin's simulator, with faults injected, and against its
cassettes; faults of the connection, which core meets alike in both, in sync alone. A capability that the
provider lacks is tested for a clean refusal.
"""

from __future__ import annotations

from mdmsdk.testing.contract.answers import Answers
from mdmsdk.testing.contract.conduct import Conduct
from mdmsdk.testing.contract.declares import Declares
from mdmsdk.testing.contract.faults import FAULTS, Faults
from mdmsdk.testing.contract.lists import Lists
from mdmsdk.testing.contract.probed import Probed
from mdmsdk.testing.contract.recorded import Recorded

__all__ = ["FAULTS", "BaseProviderContract"]


# Pytest runs the tests of the last class first: quick ones before those that wait.
class BaseProviderContract(Faults, Recorded, Lists, Answers, Probed, Conduct, Declares):
    """Subclass it as ``Test<Vendor>`` and set `provider`.

    Attributes:
        provider: the entry-point name.
        habits: sets of switches of the simulator, by name. Tests of what the provider answers run with
            each set, all others with the first.
        paging: switches that make the simulator's pages small, so that lists take several.
        wrong_login: settings that make the login fail.
        excused: tests that cannot succeed for a reason that is the vendor's, each with that reason. They have
            to fail: an excuse that is not needed any more is red.
        absent_is_fine: members of the vendor's records that say by not being there that nothing is wrong,
            each with the vendor's word for it.
        fleet_size: how many devices the simulator has.
        silent: kinds of keys that the server's answers do not show, so that such a lookup is never a pass;
            for dialects of the ISE protocol, host and user name need not be named.
        mutations: how many damaged answers to try (see `mdmsdk.testing.fuzz`).
        cassettes: the folder of the provider's cassettes; default: ``cassettes/<provider>`` in the
            working directory.
    """
