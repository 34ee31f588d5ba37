"""What the tests of the Jamf Pro provider share."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.membership import Named
from mdmsdk.models import ServerInfo
from mdmsdk.simulator import Fleet, RunningSimulator, serve
from mdmsdk_jamf import JamfProvider, JamfSettings
from mdmsdk_jamf.simulator import JamfSimulator
from mdmsdk_jamf.sources.base import JamfDescription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.testing import Modal

BASE = "https://jamf.example.com"
QUICK = {"timeout": 5.0, "deadline": 20.0, "attempts": 2, "max_wait": 0.1, "breaker_failures": 0}


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Some sixty of Apple's devices, every awkward case among them; two that left were noncompliant."""
    fleet = apple(60)
    for device in (fleet[-1], next(one for one in fleet if one.kind == "laptop")):
        fleet = fleet.replace(device, registered=False, managed=False, compliance="noncompliant")
    return fleet


def apple(size: int, seed: int = 7) -> Fleet:
    """That many of Apple's devices."""
    mixed = Fleet.generate(3 * size, seed=seed)
    return Fleet(mixed.select(lambda device: device.platform in {"macOS", "iOS", "iPadOS"})[:size])


@pytest.fixture
def make() -> Callable[..., JamfProvider]:
    """Makes a provider for flows that are played."""

    def make(**settings: Any) -> JamfProvider:
        account = {} if "username" in settings else {"client_id": "nac", "client_secret": "s3cret-word"}
        return JamfProvider(JamfSettings.model_validate({"base_url": BASE, **account, **settings}))

    return make


@pytest.fixture
def info() -> ServerInfo:
    """A server that was discovered."""
    named = {"computers": Named("10", "Good"), "mobile_devices": Named("20", "Fine")}
    return ServerInfo(api_version="v4", description=JamfDescription(named=named))


@pytest.fixture
def start(fleet: Fleet) -> Iterator[Callable[..., RunningSimulator[JamfSimulator]]]:
    """Starts a server with some habits."""
    with ExitStack() as stack:

        def start(devices: Fleet | None = None, **habits: Any) -> RunningSimulator[JamfSimulator]:
            simulator = JamfSimulator(fleet if devices is None else devices, **habits)
            return stack.enter_context(serve(simulator))

        yield start


@pytest.fixture
def ask(mdm_connect: Callable[..., Modal]) -> Callable[..., Modal]:
    """Opens a client of a running server, in each mode."""

    def ask(running: RunningSimulator[JamfSimulator], **settings: Any) -> Modal:
        given = {"policy": QUICK, **running.settings, **settings}
        return mdm_connect(given.pop("provider"), server="macs", **given)

    return ask
