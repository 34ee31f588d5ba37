"""The rows of each command, in the documented shapes, and how they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdmsdk.cli.output import Column, View
from mdmsdk.directory.state import DirectoryEntry, DirectoryStatus
from mdmsdk.federation.decision import Decision
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.models import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk.cli.output import Row
    from mdmsdk.provider import MdmProvider
    from mdmsdk.registry import PluginInfo


def _field(*path: str) -> Callable[[Row], Any]:
    """What a row holds at a path; None where the way ends."""

    def get(row: Row) -> Any:
        value: Any = row
        for name in path:
            value = value.get(name) if value else None
        return value

    return get


def _fields(*names: str) -> list[Column]:
    return [Column(name, _field(*name.split("."))) for name in names]


def provider_row(plugin: PluginInfo, provider: type[MdmProvider] | None) -> dict[str, Any]:
    """A plugin; `provider` is its class if it was loaded."""
    kinds = {kind.kind for kind in provider.keys} if provider else set()
    return {
        "name": plugin.name,
        "vendor": provider.vendor if provider else None,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "keys": [kind for kind in KEY_KINDS if kind in kinds] if provider else None,
        "capabilities": sorted(item.value for item in provider.capabilities) if provider else None,
    }


def _error(row: Row) -> str | None:
    error = row["error"]
    return f"{error['type']}: {error['message']}" if error else None


def _outcomes(row: Row) -> list[str]:
    return [
        f"{outcome['server']}={outcome['status']}" + (f" ({_error(outcome)})" if outcome["error"] else "")
        for outcome in row["outcomes"]
    ]


def _found(row: Row) -> str:
    """What the doctor found at a step, and what to do."""
    return f"{row['detail']} Remedy: {row['remedy']}" if row["remedy"] else row["detail"]


def _system(row: Row) -> str:
    return " ".join(filter(None, (row.get("os"), row.get("os_version"))))


def _short_time(row: Row) -> str | None:
    return _minute(row.get("last_check_in"))


def _minute(moment: Any) -> str | None:
    return str(moment)[:16].replace("T", " ") if moment else None


def _name(row: Row) -> Any:
    """By what a person knows the device: its name, else what it is."""
    return row.get("name") or row.get("model") or row.get("serial_number")


def _first_identifier(row: Row) -> Any:
    return next(iter(row["mac_addresses"]), None) or row["guid"] or row["udid"] or row["serial_number"]


def _of_device(show: Callable[[Row], Any]) -> Callable[[Row], Any]:
    return lambda row: show(row["device"]) if row["device"] else None


def _answer_note(row: Row) -> str:
    """Why it is not compliant, or why there is no answer."""
    told = [outcome for outcome in row["outcomes"] if outcome["error"]]
    # A server that cannot search by this kind of key is worth a word only where no other one answered.
    failed = [
        f"{outcome['server']}: {_error(outcome)}"
        for outcome in told
        if outcome["status"] == "error" or len(told) == len(row["outcomes"])
    ]
    if row["kind"] is None:  # nobody was asked; every outcome says the same
        return row["outcomes"][0]["error"]["message"] if failed else "not a key"
    reasons = row["device"]["compliance"]["reasons"] if row["device"] else ()
    return "; ".join([*reasons, *failed])


def _answer_state(row: Row) -> str:
    if row["decision"] == Decision.NOT_REGISTERED:
        return "not managed" if row["found"] else "not found"
    return str(row["decision"]).replace("_", " ")


_DEVICE_FIELDS = Device.columns()

PROVIDERS = View(
    table=[
        Column("NAME", _field("name")),
        Column("VENDOR", _field("vendor")),
        Column("DISTRIBUTION", _field("distribution"), spare=True),
        Column("VERSION", _field("version"), spare=True),
        Column("CAPABILITIES", _field("capabilities"), spare=True),
        Column("KEYS", _field("keys")),
    ],
    csv=_fields("name", "vendor", "distribution", "version", "keys", "capabilities"),
)
PROVIDERS_BRIEF = View(
    table=[column for column in PROVIDERS.table if column.title in {"NAME", "DISTRIBUTION", "VERSION"}],
    csv=PROVIDERS.csv,
)
HEARTBEAT = View(
    table=[
        Column("SERVER", _field("server")),
        Column("OK", _field("ok"), verdict=True),
        Column("PROVIDER", _field("provider")),
        Column("PRODUCT", lambda row: " ".join(filter(None, (row["product"], row["version"]))), 32),
        Column("API", _field("api_version"), spare=True),
        Column("MS", _field("elapsed_ms")),
        Column("ERROR", _error),
    ],
    csv=[
        *_fields("server", "provider", "ok", "vendor", "product", "version", "api_version", "elapsed_ms"),
        *_fields("error.type", "error.message", "error.hint"),
    ],
)
LOOKUP = View(
    table=[
        Column("KEY", _field("key")),
        Column("COMPLIANCE", _answer_state, verdict=True),
        Column("SERVER", _field("device", "server"), 16),
        Column("DEVICE", _of_device(_name), 28, spare=True),
        Column("OS", _of_device(_system), 18, spare=True),
        Column("REASONS", _answer_note),
    ],
    csv=[
        *_fields("key", "kind", "found", "compliance", "complete", "decision"),
        *_fields(*(f"device.{name}" for name in _DEVICE_FIELDS)),
        Column("outcomes", _outcomes),
    ],
)
DOCTOR = View(
    table=[
        Column("SERVER", _field("server"), 16),
        Column("STEP", _field("step")),
        Column("OK", lambda row: "-" if row["ok"] is None else row["ok"], verdict=True),
        Column("FOUND", _found),
    ],
    csv=_fields("server", "step", "ok", "detail", "remedy"),
)
DIRECTORY = View(
    table=[
        Column("SERVER", _field("server"), 16),
        Column("COMPLETE", _field("complete"), verdict=True),
        Column("BUILT (UTC)", lambda row: _minute(row["built_at"])),
        Column("DEVICES", _field("devices")),
        Column("IDENTIFIERS", _field("identifiers"), spare=True),
        Column("WALK", lambda row: f"page {row['pages']}" if row["walking"] else None, spare=True),
        Column("REASON", _field("reason")),
    ],
    csv=_fields(*DirectoryStatus.model_fields),
)
DIRECTORY_ENTRIES = View(
    table=[
        Column("SERVER", _field("server"), 16),
        Column("KIND", _field("kind")),
        Column("IDENTIFIER", _field("key")),
        Column("RECORDS", _field("records")),
    ],
    csv=_fields(*DirectoryEntry.model_fields),
)
NONCOMPLIANT = View(
    table=[
        Column("DEVICE", _first_identifier),
        Column("SERVER", _field("server"), 16),
        Column("NAME", _name, 28, spare=True),
        Column("OS", _system, 18, spare=True),
        Column("STATE", _field("compliance", "state"), verdict=True),
        Column("CHECK-IN (UTC)", _short_time, spare=True),
        Column("REASONS", _field("compliance", "reasons")),
    ],
    csv=_fields(*_DEVICE_FIELDS),
)


def labelled(view: View, title: str, labels: Sequence[str]) -> View:
    """The view with a first column that says what each row, in order, is about."""
    remaining = iter(labels)
    return View(
        table=[Column(title, lambda _row: next(remaining, None), spare=True), *view.table], csv=view.csv
    )
