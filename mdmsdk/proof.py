"""Whether a record is about the device that was asked for. Pure.

For a key, a record *shows* it, *is silent*, or *contradicts* it: what it has of that kind is another
identifier, or one that cannot be read. The rules are the same for every provider, which states as data what
is special about its server: `MdmProvider.partial`, `.loose` and `.never_shown`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.errors import FilterIgnoredError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdmsdk.errors import MdmError
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.provider import MdmProvider

__all__ = ["assign", "disguised", "proven", "shows"]


def shows(provider: MdmProvider, key: Key, device: Device) -> bool | None:
    """True if the record shows the key, False if it contradicts it, None if it is silent.

    A record that shows as many identifiers of a kind as the server shows at the most is silent about others.
    """
    match = device.matches(key)
    if match is False and (most := provider.partial.get(type(key))):
        own = len(device.shown(type(key)))
        if own >= most and type(key).field not in device.unreadable:
            return None
    return match


def proven(provider: MdmProvider, key: Key, devices: Sequence[Device]) -> list[Device]:
    """The records that are about `key`, of all that the server answered; one that contradicts it never is.

    A silent record is never a pass: its state is unknown, and its reasons say so. It counts as it is only
    where the provider knows that the server never shows this kind of key, and then only if it is the only
    record of the answer and shows no other key of the kind; or where the administrator says so in the
    setting ``trust_silent``.

    Raises:
        FilterIgnoredError: there are records, and all of them are about other devices. Where the
            provider says that the search is loose, that is no error: nothing was found.
    """
    kind = type(key)
    found = []
    for device in devices:
        match = shows(provider, key, device)
        sole = kind in provider.never_shown and len(devices) == 1 and device.matches(key) is None
        if match or (match is None and (sole or kind in provider.trusted_silent)):
            found.append(device)
        elif match is None:
            found.append(_unproven(provider, key, device))
    if devices and not found and kind not in provider.loose:
        raise FilterIgnoredError(f"asked for the {kind.kind} {key}, the server answered about other devices")
    return found


def disguised(devices: Iterable[Device], kinds: Iterable[type[Key]]) -> tuple[str, ...]:
    """The kinds that a server shows to this account in no readable form, from a look at some devices.

    A privacy profile disguises all values of a member; an odd value among others is the device's own. Where
    it leaves another member of the same kind in clear, the record still shows no proof of what is disguised.
    """
    seen = [*devices]
    return tuple(
        kind.kind
        for kind in sorted(kinds, key=lambda kind: kind.kind)
        if any(kind.field in one.unreadable for one in seen)
        and not any(one.shown(kind) and kind.field not in one.unreadable for one in seen)
    )


def assign(
    provider: MdmProvider, keys: Sequence[Key], devices: Sequence[Device]
) -> dict[Key, list[Device] | MdmError]:
    """The answer for each key of a batch, from all records of the batch.

    A record belongs to every key that it shows; silent ones belong to none, since one of many cannot be told
    from the others. Where records are left that belong to no key, a key without any may have been asked for
    in vain: its answer is the error, unless the provider says that the search is loose.
    """
    if len(keys) == 1:
        return {keys[0]: list(devices)}
    found: dict[Key, list[Device] | MdmError] = {}
    owners: dict[Key, list[Device]] = {key: [] for key in keys}
    strays = False
    for device in devices:
        named = set(device.shown(type(keys[0]))) & owners.keys()
        strays = strays or not named
        for key in named:
            owners[key].append(device)
    for key, own in owners.items():
        if strays and not own and type(key) not in provider.loose:
            found[key] = FilterIgnoredError(
                f"asked for the {type(key).kind} {key} among others, the server answered about other devices"
            )
        else:
            found[key] = own
    return found


def _unproven(provider: MdmProvider, key: Key, device: Device) -> Device:
    reason = f"the server's record does not show the {key.kind} that was asked for"
    if "trust_silent" in type(provider.settings).model_fields:
        reason += f' (setting trust_silent = ["{key.kind}"])'
    return device.doubted(reason)
