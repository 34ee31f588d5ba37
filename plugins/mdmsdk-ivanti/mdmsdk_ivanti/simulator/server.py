"""What the simulated servers of both products share: accounts, device spaces, searches, and bad habits."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, SimDevice, Simulator, basic_credentials
from mdmsdk.simulator.base import not_simulated

__all__ = ["Found", "IvantiHabits", "IvantiSimulator", "mask"]

_APPLE: Final = frozenset({"iOS", "iPadOS", "macOS"})
_MASKED_TAIL: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class IvantiHabits:
    """How both servers behave.

    Attributes:
        username: Account that may log in.
        password: Its password.
        deny: Status for every request with the right password: 401 or 403, as for an account without roles.
        lock_after: Wrong logins after which the account is locked, so that the right password fails too.
        spaces: Names of the device spaces; each device is in one of them.
        assigned: Names of those that the account sees; None for all.
        masked: Kinds of identifier that the account's GDPR profile disguises: serial, imei, mac, udid.
        mask_answers_only: The search still sees what the answers disguise.
        page_cap: Most rows of one page, whatever was asked for.
        most_rows: Asking for more rows than this is refused.
        wrong_filter: Answers about everything, or about other devices, instead of those asked for.
        ignore_sort: Rows come in an order of their own.
        ignore_offset: Each page is the first one.
        total_cap: Most rows of a list; the rest is lost, though counted.
        vanish: Rows of each page that are deleted as soon as the page is served, if more pages follow.
        move: Rows of the last device space that move to the first once its list was read.
        quarantine: Whether some devices are in quarantine though the product calls them compliant.
    """

    username: str = "nac-reader"
    password: str = "simulated-password"
    deny: Literal[401, 403] | None = None
    lock_after: int | None = None
    spaces: tuple[str, ...] = ("Global", "Field staff", "Schools")
    assigned: tuple[str, ...] | None = None
    masked: frozenset[str] = frozenset()
    mask_answers_only: bool = False
    page_cap: int | None = None
    most_rows: int = 500
    wrong_filter: Literal["no", "everything", "other_device"] = "no"
    ignore_sort: bool = False
    ignore_offset: bool = False
    total_cap: int | None = None
    vanish: int = 0
    move: int = 0
    quarantine: bool = True


HabitsT = TypeVar("HabitsT", bound=IvantiHabits)
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a search: the records of a page, and how many there are in all."""

    rows: Sequence[Record]
    total: int


@dataclass(frozen=True, slots=True)
class _Entry:
    device: SimDevice
    searched: Record
    shown: Record


def mask(text: str) -> str:
    """Disguise a text but for its end, as a privacy profile does."""
    return "*" * max(4, len(text) - _MASKED_TAIL) + text[-_MASKED_TAIL:]


class IvantiSimulator(Simulator[HabitsT]):
    """A server with device spaces.

    Attributes:
        failed_logins: Wrong passwords since the last right one.
        vanished: Numbers of the devices that were deleted between pages.
        moved: Numbers of devices that changed their device space, and the index of the new one.
    """

    habits: HabitsT
    masked_fields: ClassVar[dict[str, Sequence[str]]] = {}
    """The fields of a record in which each kind of identifier stands."""

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Switches that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.failed_logins = 0
        self.vanished: list[int] = []
        self.moved: dict[int, int] = {}
        self._cache: tuple[Any, list[list[_Entry]]] | None = None

    def routes(self) -> Sequence[Route]:
        """Give the one route; a prefix is a habit, so each request's path is taken apart when it comes."""
        return [Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE"])]

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        return {
            "provider": self.name,
            "base_url": origin,
            "username": self.habits.username,
            "password": self.habits.password,
        }

    # --- what is true ---

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers by which this server knows a record."""
        known = {
            "mac": self.mac_of(device),
            "udid": device.udid if device.platform in _APPLE else None,
            "guid": device.guid,
            "serial": device.serial_number,
            "imei": device.imei,
            "id": str(device.id),
        }
        return {kind: value for kind, value in known.items() if value}

    def mac_of(self, device: SimDevice) -> str | None:
        """Give the address under which the product searches first."""
        return device.wifi_mac

    def verdict(self, device: SimDevice) -> str:
        """Give the state that a careful client must read; the products know no time of grace."""
        if device.compliance in {"noncompliant", "grace"}:
            return "noncompliant"
        return device.compliance if device.registered else "unknown"

    def noncompliant(self) -> set[int]:
        """Give the numbers of the devices that belong on a complete list."""
        return {
            device.id for device in self.fleet if device.registered and self.verdict(device) == "noncompliant"
        }

    def flags(self, device: SimDevice) -> tuple[bool | None, bool]:
        """Give what the product writes: whether a device complies, and whether it is in quarantine.

        Of the devices that do not comply, some are in quarantine; some of these are still called compliant.
        """
        if self.verdict(device) != "noncompliant":
            return (None if device.compliance == "unknown" else True), False
        if not self.habits.quarantine:
            return False, False
        return device.id % 3 == 0, device.id % 3 != 1

    # --- device spaces and searches ---

    def space_of(self, device: SimDevice) -> int:
        """Give the index of the device space that a device is in."""
        return self.moved.get(device.id, device.id % len(self.habits.spaces))

    def visible_spaces(self) -> list[tuple[int, str]]:
        """Give index and name of the device spaces that the account sees."""
        assigned = self.habits.assigned
        return [
            (index, name)
            for index, name in enumerate(self.habits.spaces)
            if assigned is None or name in assigned
        ]

    @abstractmethod
    def record(self, device: SimDevice) -> Record:
        """Give the record of a device with all its fields."""

    def find(
        self,
        space: int,
        test: Callable[[Record], bool],
        offset: int,
        limit: int,
        key: Callable[[SimDevice], Any],
        *,
        backwards: bool = False,
    ) -> Found:
        """Search one device space, sorted, and give one page."""
        habits = self.habits
        matches = [entry for entry in self._entries()[space] if test(entry.searched)]
        everything = len(matches) == len(self._entries()[space])
        if habits.wrong_filter == "everything":
            matches = list(self._entries()[space])
        elif habits.wrong_filter == "other_device" and not everything:
            wanted = {entry.device.id for entry in matches}
            matches = [entry for entry in self._entries()[space] if entry.device.id not in wanted][:1]
        matches.sort(
            key=(lambda entry: entry.device.guid) if habits.ignore_sort else lambda entry: key(entry.device),
            reverse=backwards and not habits.ignore_sort,
        )
        total = len(matches)
        if habits.ignore_offset:
            offset = 0
        end = offset + min(limit, habits.page_cap or limit)
        page = matches[: habits.total_cap][offset:end]
        if limit > 1 and total > 1 and not everything:
            self._disturb(page, last=end >= total, space=space)
        return Found([entry.shown for entry in page], total)

    def _disturb(self, page: Sequence[_Entry], *, last: bool, space: int) -> None:
        """Change the fleet behind the back of a client that reads a list."""
        if self.habits.vanish and not last:
            gone = [entry.device.id for entry in page[: self.habits.vanish]]
            self.vanished += gone
            self.fleet = self.fleet.without(*gone)
        if self.habits.move and last and space == 0 and not self.moved:
            listed = self.noncompliant()
            behind = [device for device in self.fleet if self.space_of(device) and device.id in listed]
            self.moved = {device.id: 0 for device in behind[-self.habits.move :]}
            self._cache = None

    def _entries(self) -> list[list[_Entry]]:
        fleet, habits = self.fleet, self.habits
        if self._cache is None or self._cache[0] != (id(fleet), habits, len(self.moved)):
            spaces: list[list[_Entry]] = [[] for _ in habits.spaces]
            for device in fleet:
                spaces[self.space_of(device)].append(self._entry(device))
            self._cache = (id(fleet), habits, len(self.moved)), spaces
        return self._cache[1]

    def _entry(self, device: SimDevice) -> _Entry:
        record = self.record(device)
        hidden = {name for kind in self.habits.masked for name in self.masked_fields.get(kind, ())}
        shown = {
            name: mask(value) if name in hidden and isinstance(value, str) and value else value
            for name, value in record.items()
        }
        return _Entry(device, record if self.habits.mask_answers_only else shown, shown)

    # --- requests ---

    async def _answer(self, request: Request) -> Response:
        return self.refuse(request) or self.serve(request)

    def refuse(self, request: Request) -> Response | None:
        """Give the answer to a request that may not be served."""
        habits = self.habits
        locked = habits.lock_after is not None and self.failed_logins >= habits.lock_after
        if locked or not self.knows(request.headers.get("authorization", "")):
            self.failed_logins += "authorization" in request.headers
            return self.error(401, "Authentication failed", None)
        self.failed_logins = 0
        return None if habits.deny is None else self.error(habits.deny, "Access is denied", None)

    def knows(self, authorization: str) -> bool:
        """Whether this is the credential of the account."""
        return basic_credentials(authorization) == (self.habits.username, self.habits.password)

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse parameters that are not implemented, in the product's form."""
        return self.error(400, not_simulated(*names), names[0])

    @abstractmethod
    def error(self, status: int, text: str, field: str | None) -> Response:
        """Write an error in the product's form."""

    @abstractmethod
    def serve(self, request: Request) -> Response:
        """Answer a request of an account that is let in."""
