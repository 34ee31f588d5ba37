"""Records a provider's cassettes: ``nox -s record -- PROVIDER``.

From the provider's simulator, or from a real server: ``--config FILE --server NAME``, and a ``--key`` for
each kind of key, as in ``--key mac:00:1B:44:11:3A:B7``. What is written is scrubbed; still, read it before
you publish it.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from mdmsdk.client import MdmClient
from mdmsdk.client.build import make_provider
from mdmsdk.config import load_config
from mdmsdk.errors import MdmError, UnsupportedOperationError
from mdmsdk.provider import Capability
from mdmsdk.registry import load_simulator
from mdmsdk.simulator.fleet import Fleet
from mdmsdk.simulator.server import serve
from mdmsdk.testing.cassettes import (
    ACCOUNT,
    UNKNOWN,
    NotRecordedError,
    Operation,
    operations_file,
    perform,
    publishable,
    recording,
    replaying,
)
from mdmsdk.testing.scrub import Pseudonyms
from mdmsdk.testing.secrets import leaks, secret_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdmsdk.provider import MdmProvider

__all__ = ["main", "record"]

FLEET_SIZE, FLEET_SEED = 24, 7
_DEVICE_FIELDS = ("name", "guid", "udid", "serial_number", "imei", "meid", "user", "phone_number")


def record(
    provider: MdmProvider, keys: list[str], folder: Path, source: str, *, made_up: bool = False
) -> list[Operation]:
    """Record every operation of a provider, each in a cassette of its own with login and discovery.

    Args:
        provider: with the settings of the server to record from.
        keys: what to look up, as ``kind:value``; the last may be unknown to the server.
        folder: where the cassettes go.
        source: what is recorded, for the first line of each cassette.
        made_up: whether nothing of it is private, so that the same gets the same pseudonyms each time.

    Raises:
        MdmError: the server does not answer.
        ValueError: a cassette would show what is private, or tells another story under pseudonyms; it is not
            kept. The message names what it is, and never its value.
    """
    settings = json.loads(provider.settings.model_dump_json(exclude_defaults=True))
    secrets = secret_values(provider.settings)
    known = [source] if made_up else [provider.settings.base_url, *secrets]
    pseudonyms = Pseudonyms(hashlib.sha256("\n".join(known).encode()).digest())
    pseudonyms.learn_secret(*secrets)
    published, origins = publishable(settings, pseudonyms, type(provider).settings_type)
    calls: list[tuple[str, str, str | None]] = [("heartbeat", "heartbeat", None)]
    calls += [(f"find-{index}-{key.partition(':')[0]}", "find", key) for index, key in enumerate(keys, 1)]
    calls += [("noncompliant", "noncompliant", None)]
    if Capability.INVENTORY in provider.capabilities:
        calls += [("devices", "devices", None)]
    operations = []
    private = _of_settings(settings, provider.settings)
    for name, call, key in calls:
        path = folder / f"{name}.yaml"
        try:
            with (
                recording(path, source=source, pseudonyms=pseudonyms, origins=origins),
                MdmClient(provider) as client,
            ):
                live = perform(client, call, key)
                learn_answer(pseudonyms, live)
            private += _of_devices(live)
            _check_shown(path, private)
            scrubbed_key = pseudonyms.apply(key) if key else None
            expected = _replayed(path, make_provider(provider.name, published), call, scrubbed_key)
            _check_told(path, live, expected)
        except BaseException as error:
            path.unlink(missing_ok=True)
            # Not every server has what others of its kind have: its story is told without that.
            if call == "devices" and isinstance(error, UnsupportedOperationError):
                continue
            raise
        operations.append(Operation(name, call, scrubbed_key, expected))
    data = {"settings": published, "operations": [dataclasses.asdict(operation) for operation in operations]}
    operations_file(folder).write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return operations


def _check_shown(path: Path, private: list[tuple[str, str]]) -> None:
    if shown := leaks(path.read_text(encoding="utf-8"), private):
        raise ValueError(f"{path} would show {' and '.join(shown)}; it was not kept")


def _check_told(path: Path, live: Any, expected: Any) -> None:
    if story(live) != story(expected):
        raise ValueError(f"{path} does not replay to what the server answered; it was not kept")


def _replayed(path: Path, provider: MdmProvider, call: str, key: str | None) -> Any:
    """What a replay answers, which is expected from then on."""
    try:
        with replaying(path), MdmClient(provider) as client:
            return perform(client, call, key)
    except NotRecordedError as error:
        asked = str(error).partition(";")[0]
        raise ValueError(
            f"{asked} when it is replayed, so that it was not kept: with pseudonyms, or each time, the "
            "provider asks for something else"
        ) from None


def _of_settings(settings: Mapping[str, Any], secrets: Any) -> list[tuple[str, str]]:
    """Names and values of the secrets, accounts and hosts in settings."""
    found = list(_secrets_in(secrets, "settings"))
    for name, value in settings.items():
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            found.append((f"host in the setting {name}", urlsplit(value).hostname or ""))
        elif isinstance(value, str) and ACCOUNT.search(name):
            found.append((f"setting {name}", value))
    return found


def _secrets_in(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, SecretStr):
        yield f"setting {name}", value.get_secret_value()
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _secrets_in(getattr(value, field), field)
    elif isinstance(value, dict):
        for field, inner in value.items():
            yield from _secrets_in(inner, f"{name}.{field}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner, name)


def _of_devices(answer: Any) -> list[tuple[str, str]]:
    """Names and values of what tells who and what the devices of an answer are."""
    devices = answer if isinstance(answer, list) else []
    found = [(f"{name} of a device", device[name]) for device in devices for name in _DEVICE_FIELDS]
    found += [("MAC address of a device", mac) for device in devices for mac in device["mac_addresses"]]
    return [(name, value) for name, value in found if value]


def learn_answer(pseudonyms: Pseudonyms, answer: Any) -> None:
    """Take in who and what the devices of an answer are."""
    for device in answer if isinstance(answer, list) else []:
        pseudonyms.learn(*(device[name] for name in _DEVICE_FIELDS), *device["mac_addresses"])


def story(answer: Any) -> Any:
    """What must be the same under pseudonyms: how many devices, and how the server judges them."""
    if not isinstance(answer, list):
        return answer["vendor"], answer["version"]
    return [
        (device["registered"], device["compliance"]["state"], device["last_check_in"]) for device in answer
    ]


def keys_of(provider: MdmProvider, simulator: Any) -> list[str]:
    """A known key of each kind that the provider can look up, and an unknown one."""
    kinds = sorted(kind.kind for kind in provider.keys)
    keys = []
    for kind in kinds:
        known = (simulator.identifiers(device).get(kind) for device in simulator.fleet if device.registered)
        if value := next(filter(None, known), None):
            keys.append(f"{kind}:{value}")
    kind = "mac" if "mac" in kinds else kinds[0]
    return [*keys, f"{kind}:{UNKNOWN[kind]}"]


def from_simulator(name: str, folder: Path, habits: Mapping[str, Any] | None = None) -> list[Operation]:
    """Record from the provider's own simulator with some habits, over a fleet that is always the same."""
    fleet = Fleet.generate(FLEET_SIZE, FLEET_SEED)
    with serve(load_simulator(name)(fleet, **(habits or {}))) as running:
        settings = dict(running.settings)
        settings.pop("provider", None)
        provider = make_provider(name, settings)
        # One after the other, requests stand in the same order each time.
        vars(provider).update(limits=dataclasses.replace(provider.limits, concurrency=1))
        source = f"the {name} simulator, {FLEET_SIZE} devices, seed {FLEET_SEED}"
        source += "".join(f", {habit} {value}" for habit, value in (habits or {}).items())
        return record(provider, keys_of(provider, running.simulator), folder, source, made_up=True)


def _habit(text: str) -> tuple[str, Any]:
    """A switch of a simulator, as in ``page_size=3``: JSON, and otherwise a text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main(arguments: list[str] | None = None) -> int:
    """The command; gives its exit status."""
    parser = argparse.ArgumentParser(prog="record", description="Record cassettes of a provider, scrubbed.")
    parser.add_argument("provider", nargs="+", help="entry-point name, such as ise")
    parser.add_argument("--folder", type=Path, default=Path("cassettes"), help="default: cassettes")
    parser.add_argument("--config", help="an mdm.toml with the real server")
    parser.add_argument("--server", help="its name there")
    parser.add_argument("--key", action="append", default=[], help="KIND:VALUE to look up; repeat it")
    parser.add_argument(
        "--habit",
        action="append",
        default=[],
        type=_habit,
        metavar="NAME=VALUE",
        help="of the simulator; repeat it",
    )
    options = parser.parse_args(arguments)
    try:
        for name in options.provider:
            folder = options.folder / name
            if options.server:
                provider = load_config(options.config).provider(options.server)
                product = MdmClient(provider).heartbeat()
                source = (
                    f"{product.product or product.vendor} {product.version or ''}".strip() + ", a real server"
                )
                operations = record(provider, options.key, folder, source)
            else:
                operations = from_simulator(name, folder, dict(options.habit))
            print(f"{folder}: {len(operations)} cassettes")  # noqa: T201 - a command's output
    except (MdmError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
