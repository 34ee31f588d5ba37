"""Invent the records of a fleet.

Only `Random.random` and `Random.getrandbits` are used: their results are the same in every Python version.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar

from mdmsdk.simulator._words import (
    ANDROIDS,
    DEPARTMENTS,
    FIRST_NAMES,
    LAPTOPS,
    LAST_NAMES,
    MOBILE_PLATFORMS,
    MODELS,
    PHONES,
    REASONS,
    Model,
    Reason,
)

REFERENCE_TIME: Final = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
DEFAULT_MIX: Final[Mapping[Any, float]] = {
    "compliant": 0.72,
    "noncompliant": 0.18,
    "grace": 0.06,
    "unknown": 0.04,
}

_T = TypeVar("_T")
_Facts = dict[str, Any]

# Facts for the maker's own use, which are no field of a device.
_MODEL: Final = "model of the device"
_AGAIN: Final = "enrolled again"
_INTERNAL: Final = frozenset({_MODEL, _AGAIN})

_FIRST_ID: Final = 1001
_STATES: Final = 4  # the cast begins with one device for each compliance state
_IRREGULAR: Final = 0.07  # share of awkward records beyond the cast
_WINDOW: Final = 48  # records to pick partners and duplicates from
_SERIAL_DIGITS: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZ"  # no vowels, so that no words come about
# Odd multipliers make `number * m mod 2**bits` run through every value once: scattered, yet never twice.
_SCATTER_24: Final = 0x9E3779
_SCATTER_40: Final = 0x9E3779B97F
_SCATTER_SERIAL: Final = 0x1F123BB5D3


def records(
    size: int, seed: int, now: datetime, mix: Mapping[Any, float], *, cases: bool
) -> Iterator[_Facts]:
    """Give the fields of each record in turn.

    Args:
        size: How many.
        seed: Of the random numbers.
        now: Check-ins lie before it.
        mix: Weights of the compliance states.
        cases: Whether awkward records are wanted.
    """
    makers = _Maker(seed, now, mix)
    earlier: deque[_Facts] = deque(maxlen=_WINDOW)
    for number in range(size):
        facts = makers.special(number, earlier) if cases else makers.ordinary(number)
        earlier.append(facts)
        yield {name: value for name, value in facts.items() if name not in _INTERNAL}


class _Maker:
    def __init__(self, seed: int, now: datetime, mix: Mapping[Any, float]) -> None:
        self.random = Random(seed)  # noqa: S311 - invented devices, nothing secret
        self.now = now
        self.offset = self.random.getrandbits(24)
        self.cast = (
            self.compliant,
            self.noncompliant,
            self.in_grace,
            self.not_judged,
            self.never_checked_in,
            self.retired,
            self.docked,
            self.docked_too,
            self.random_address,
            self.no_address,
            self.enrolled_again,
            self.enrolled_again,
        )
        self.states = [(state, weight) for state, weight in mix.items() if weight > 0]
        self.total = sum(weight for _, weight in self.states)
        if not self.states:
            message = "the mix of compliance states gives no state any weight"
            raise ValueError(message)

    def pick(self, values: Sequence[_T]) -> _T:
        return values[int(self.random.random() * len(values))]

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def ordinary(self, number: int, model: Model | None = None, state: str | None = None) -> _Facts:
        facts = self.hardware(number, model or self.pick(MODELS))
        facts |= self.person(number, facts)
        facts |= self.enrolment(facts)
        self.judge(facts, state or self.state())
        return facts

    def special(self, number: int, earlier: Sequence[_Facts]) -> _Facts:
        # The first dozen is a fixed cast, so even a small fleet has every case; later ones are thrown in.
        if number < len(self.cast):
            return self.cast[number](number, earlier)
        if self.chance(_IRREGULAR):
            return self.pick(self.cast[_STATES:])(number, earlier)
        return self.ordinary(number)

    def compliant(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        return self.ordinary(number, state="compliant")

    def noncompliant(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        return self.ordinary(number, state="noncompliant")

    def in_grace(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        return self.ordinary(number, state="grace")

    def not_judged(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        return self.ordinary(number, state="unknown")

    def never_checked_in(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        nothing = dict.fromkeys(("last_check_in", "disk_encrypted", "passcode_set", "jailbroken"))
        return (
            self.ordinary(number, state="unknown") | nothing | {"enrolled_at": self.now - timedelta(hours=2)}
        )

    def retired(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        return self.ordinary(number) | {"registered": False, "managed": False}

    def docked(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        return self.ordinary(number, self.pick(LAPTOPS), "compliant") | {"dock_mac": self.mac(number, 2)}

    def docked_too(self, number: int, earlier: Sequence[_Facts]) -> _Facts:
        docks = [facts["dock_mac"] for facts in earlier if facts["dock_mac"] and facts["registered"]]
        laptop = self.ordinary(number, self.pick(LAPTOPS), "noncompliant")
        return laptop | {"dock_mac": docks[-1]} if docks else laptop

    def random_address(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        return self.ordinary(number, self.pick(PHONES)) | {"wifi_mac": self.random_mac(number)}

    def no_address(self, number: int, _earlier: Sequence[_Facts]) -> _Facts:
        # An Android work profile hides the address from the server.
        return self.ordinary(number, self.pick(ANDROIDS)) | {"wifi_mac": None, "ownership": "personal"}

    def hardware(self, number: int, model: Model) -> _Facts:
        mobile = model.platform in MOBILE_PLATFORMS
        version, build = model.versions[int(self.random.random() ** 3 * (len(model.versions) - 1))]
        imei = _imei(number) if model.cellular else None
        random_wifi = mobile and self.chance(0.3)
        return {
            "id": _FIRST_ID + number,
            "guid": _uuid(self.random.getrandbits(128)),
            "udid": _udid(model.platform, self.random.getrandbits(160)),
            "directory_id": _uuid(self.random.getrandbits(128)) if self.chance(0.8) else None,
            "serial_number": _serial(number + self.offset),
            "imei": imei,
            "meid": f"A0{(number * _SCATTER_40 + self.offset) % 2**40:012X}"
            if imei and self.chance(0.3)
            else None,
            "wifi_mac": self.random_mac(number) if random_wifi else self.mac(number, 0),
            "ethernet_mac": None if mobile else self.mac(number, 1),
            "dock_mac": self.mac(number, 2) if model.kind == "laptop" and self.chance(0.25) else None,
            "kind": model.kind,
            "platform": model.platform,
            "manufacturer": model.manufacturer,
            "model": model.name,
            "model_identifier": model.identifier,
            "os_version": version,
            "os_build": build,
            _MODEL: model,
            _AGAIN: False,
        }

    def person(self, number: int, facts: _Facts) -> _Facts:
        # Two devices to a user, more or less; the pair of names repeats only after all pairs were given.
        person = number * 2 // 3
        first = FIRST_NAMES[person % len(FIRST_NAMES)]
        last = LAST_NAMES[(person // len(FIRST_NAMES) + person) % len(LAST_NAMES)]
        again = person // (len(FIRST_NAMES) * len(LAST_NAMES))
        username = f"{first}.{last}{again + 1 if again else ''}".lower().translate(_ASCII)
        mobile = facts["platform"] in MOBILE_PLATFORMS
        tail = facts["serial_number"][-6:]
        kind = facts["model"].split(" (")[0] if mobile else "Mac"
        return {
            "name": f"{first}'s {kind}" if mobile or facts["platform"] == "macOS" else f"WS-{tail}",
            "hostname": f"{facts['kind']}-{_FIRST_ID + number}",
            "username": username,
            "full_name": f"{first} {last}",
            "department": DEPARTMENTS[person % len(DEPARTMENTS)],
            "phone_number": f"+1{201 + number // 100 % 799}55501{number % 100:02}" if facts["imei"] else None,
            "ip_address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        }

    def enrolment(self, facts: _Facts) -> _Facts:
        mobile = facts["platform"] in MOBILE_PLATFORMS
        roll = self.random.random()
        checked_in = self.now - timedelta(seconds=60 + int(self.random.random() ** 3 * 6 * 86400))
        return {
            "ownership": "corporate" if roll < 0.75 else "personal" if roll < 0.95 else "shared",  # noqa: PLR2004
            "registered": True,
            "managed": True,
            "supervised": mobile and roll < 0.6,  # noqa: PLR2004 - a share, not a limit
            "disk_encrypted": True,
            "passcode_set": True,
            "jailbroken": False,
            "last_check_in": checked_in,
            "enrolled_at": self.now
            - timedelta(days=40 + int(self.random.random() * 700), seconds=checked_in.second),
        }

    def state(self) -> str:
        roll = self.random.random() * self.total
        for state, weight in self.states:
            roll -= weight
            if roll < 0:
                return str(state)
        return str(self.states[-1][0])

    def judge(self, facts: _Facts, state: str) -> None:
        """Set the verdict, and let the facts agree with the reasons for it."""
        reasons: list[Reason] = []
        if state in {"noncompliant", "grace"}:
            mobile = facts["platform"] in MOBILE_PLATFORMS
            possible = [reason for reason in REASONS if (reason.mobile if mobile else reason.computer)]
            first = int(self.random.random() * len(possible))
            count = 1 + int(self.random.random() ** 2 * 3)
            reasons = [possible[(first + step) % len(possible)] for step in range(count)]
        codes = {reason.code for reason in reasons}
        if "os" in codes:
            facts["os_version"], facts["os_build"] = facts[_MODEL].versions[-1]
        if "stale" in codes:
            facts["last_check_in"] -= timedelta(days=31 + int(self.random.random() * 60))
            facts["enrolled_at"] -= timedelta(days=100)
        facts |= {
            "compliance": state,
            "failure_reasons": tuple(reason.text for reason in reasons),
            "remediation": reasons[0].remediation if reasons else None,
            "grace_until": self.now + timedelta(days=1 + int(self.random.random() * 6))
            if state == "grace"
            else None,
            "passcode_set": "passcode" not in codes,
            "disk_encrypted": "encryption" not in codes,
            "jailbroken": "jailbreak" in codes,
        }

    def enrolled_again(self, number: int, earlier: Sequence[_Facts]) -> _Facts:
        """Make an older record of a device: same hardware, other enrolment, often other verdict."""
        candidates = (facts for facts in earlier if facts["registered"] and not facts[_AGAIN])
        originals = [facts for facts in candidates if facts["last_check_in"]]
        if not originals:
            return self.ordinary(number)
        original = originals[number % len(originals)]
        facts = original | {
            "id": _FIRST_ID + number,
            "guid": _uuid(self.random.getrandbits(128)),
            "hostname": f"{original['kind']}-{_FIRST_ID + number}",
            _AGAIN: True,
        }
        facts |= self.enrolment(facts)
        older = timedelta(days=8 + int(self.random.random() * 100))
        facts["last_check_in"] = original["last_check_in"] - older
        facts["enrolled_at"] = original["enrolled_at"] - timedelta(days=300)
        other = "compliant" if original["compliance"] == "noncompliant" else "noncompliant"
        self.judge(facts, other if number % 2 else original["compliance"])
        return facts

    def mac(self, number: int, port: int) -> str:
        """Give a universally administered address of IANA's own block, which no manufacturer uses."""
        return f"00005E{((3 * number + port) * _SCATTER_24 + self.offset) % 2**24:06X}"

    def random_mac(self, number: int) -> str:
        """Give a locally administered unicast address, as phones make one up for each network."""
        scattered = (number * _SCATTER_40 + self.offset) % 2**40
        return f"{scattered >> 32 & 0xFC | 0x02:02X}{scattered:010X}"


_ASCII: Final = str.maketrans("éáíóúüëö", "eaiouueo")


def _uuid(bits: int) -> str:
    digits = f"{bits:032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _udid(platform: str, bits: int) -> str:
    digits = f"{bits:040x}"
    if platform in {"iOS", "iPadOS"}:
        return f"0000{digits[:4]}-{digits[4:20]}".upper()
    if platform == "macOS":
        return _uuid(bits >> 32).upper()
    return digits[:32].upper() if platform == "Windows" else digits


def _serial(number: int) -> str:
    scattered = number * _SCATTER_SERIAL % len(_SERIAL_DIGITS) ** 8
    characters = []
    for _ in range(8):
        scattered, digit = divmod(scattered, len(_SERIAL_DIGITS))
        characters.append(_SERIAL_DIGITS[digit])
    return "SIM" + "".join(characters)


def _imei(number: int) -> str:
    digits = f"00100{number // 1_000_000 % 1000:03}{number * 7919 % 1_000_000:06}"
    # Luhn: from the right of the fourteen digits every other one is doubled, starting with the last.
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of the two digits
    return digits + str(-total % 10)
