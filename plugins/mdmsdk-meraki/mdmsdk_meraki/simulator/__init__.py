"""Local servers of the Meraki Dashboard API (its Systems Manager part), and of Meraki's endpoint for ISE."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mdmsdk.simulator import Fleet, IseSimulator, SimDevice, Simulator, basic_credentials
from mdmsdk.simulator.base import not_simulated
from mdmsdk_meraki.simulator.pages import Buckets, link_header, page_position
from mdmsdk_meraki.simulator.rows import (
    adapters,
    colons,
    device_row,
    in_scope,
    network_row,
    organization_row,
    sm_id,
    state_of,
)

__all__ = ["MerakiHabits", "MerakiIseSimulator", "MerakiSimulator"]

_PREFIX: Final = "/api/v1"
_FILTERS: Final[Mapping[str, Callable[[SimDevice], str | None]]] = {
    "wifiMacs[]": lambda device: device.wifi_mac and colons(device.wifi_mac),
    "serials[]": lambda device: device.serial_number,
    "uuids[]": lambda device: device.udid,
    "ids[]": sm_id,
    "systemTypes[]": lambda device: device.platform,
}
_PAGES: Final = frozenset({"perPage", "startingAfter"})
_PERSON_KEYS: Final = frozenset({"username", "email", "mac", "serial", "imei"})
_FEWEST, _MOST = 3, 1000
_LEFT_OUT: Final = 404

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MerakiHabits:
    """How the server behaves.

    Attributes:
        api_key: The one key that is good.
        client_id: Of the OAuth application.
        client_secret: Of the same.
        refresh_token: The first one; each use replaces it by another.
        token_life: Seconds that an access token is announced to live.
        organizations: How many there are.
        networks: How many Systems Manager networks there are, dealt out to the organisations in turn.
        api_disabled: Numbers of organisations, from 0, whose API access is off.
        deny: 403 for every question with a good key.
        limited: Refuse requests that come too fast with 429; they are counted in any case.
        rate: Requests a second that each organisation bears.
        burst: Requests beyond that in its first second.
        total_rate: Requests a second from one source.
        retry_after: Whether a 429 says how long to wait; those of the front server do not.
        page_size: Rows on a page, if less than were asked for.
        quoted_link: Write `rel="next"` instead of `rel=next`.
        no_link: Leave the Link header out, as a careless proxy does.
        link_origin: Origin of the addresses in Link headers; default: this server's own.
        endless: Every page has a next one, with the same devices.
        repeat_token: Every page names the second as the next.
        redirect_to: Origin of another server to which everything is redirected.
        redirect_loop: Redirect every question to itself.
        wrong_filter: Answer filters with everything, or with one other device.
        fields_ignored: Leave out the fields that were asked for beyond the usual ones.
        numbers_as_text: Write numbers and booleans of the extra fields as text.
        person_data_wired: The search by personal data knows wired addresses too.
        lost_tags: Tags that are left out of every row, as if they got lost on the way.
        bad_serial: A serial number that no question may hold; one that does is refused with 400.
        broken_link: Cut the end of every Link header off.
    """

    api_key: str = "51ab1ed0" * 5
    client_id: str = "simulated-application"
    client_secret: str = "simulated-client-secret"
    refresh_token: str = "simulated-refresh-token-0"
    token_life: int = 3600
    organizations: int = 2
    networks: int = 3
    api_disabled: frozenset[int] = frozenset()
    deny: bool = False
    limited: bool = False
    rate: float = 10.0
    burst: int = 10
    total_rate: float = 100.0
    retry_after: bool = True
    page_size: int | None = None
    quoted_link: bool = False
    no_link: bool = False
    link_origin: str | None = None
    endless: bool = False
    repeat_token: bool = False
    redirect_to: str | None = None
    redirect_loop: bool = False
    wrong_filter: Literal["no", "everything", "other_device"] = "no"
    fields_ignored: bool = False
    numbers_as_text: bool = False
    person_data_wired: bool = True
    lost_tags: frozenset[str] = frozenset()
    bad_serial: str | None = None
    broken_link: bool = False


class MerakiSimulator(Simulator[MerakiHabits]):
    """A local server of the Meraki Dashboard API v1.

    Attributes:
        limits: What came in when, by organisation and as "source", and how much of it was too fast.
        device_requests: How many asked for lists of devices.
        refreshes: How often an access token was given out.
    """

    name: ClassVar[str] = "meraki"
    habits_type: ClassVar[type[MerakiHabits]] = MerakiHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        "/organizations": _PAGES,
        "/organizations/[^/]+/networks": _PAGES | {"productTypes[]", "tags[]", "tagsFilterType"},
        "/pii/smDevicesForKey": _PERSON_KEYS,
        "/sm/devices": _PAGES | {"fields[]", "scope[]", *_FILTERS},
    }

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `MerakiHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.limits = Buckets()
        self.device_requests = 0
        self.refreshes = 0
        self._refresh_token = self.habits.refresh_token
        self._access_tokens: set[str] = set()

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        return {
            "provider": self.name,
            "base_url": origin + _PREFIX,
            "api_key": self.habits.api_key,
            "compliance": {"source": "policy-tags"},
        }

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers of a record; only the Wi-Fi address can be searched for."""
        known = super().identifiers(device) | {"guid": sm_id(device), "id": sm_id(device)}
        known.pop("mac", None)
        return known | ({"mac": device.wifi_mac} if device.wifi_mac else {})

    def verdict(self, device: SimDevice) -> str:
        """Give the state that the policies' tags leave; a compliant device that left is judged no more."""
        state = state_of(device)
        return state if device.registered or state == "noncompliant" else "unknown"

    def forget_tokens(self) -> None:
        """Let every OAuth access token end now."""
        self._access_tokens.clear()

    def networks_of(self, organization: int) -> list[dict[str, Any]]:
        """Give the networks of one organisation: those with Systems Manager, and one without."""
        number = self._organization_id(organization)
        count, step = self.habits.networks, self.habits.organizations
        managed = [network_row(index, number, managed=True) for index in range(organization, count, step)]
        return [*managed, network_row(count + organization, number, managed=False)]

    def network_of(self, device: SimDevice) -> str:
        """Give the id of the network in which a device is enrolled."""
        return str(network_row(device.id % self.habits.networks, "", managed=True)["id"])

    def routes(self) -> Sequence[BaseRoute]:
        """Give the routes of the API."""
        network, api = f"{_PREFIX}/networks/{{network}}", self._guarded
        return [
            Route("/oauth/token", self._give_token, methods=["POST"]),
            Route(f"{_PREFIX}/administered/identities/me", api(self._me)),
            Route(f"{_PREFIX}/organizations", api(self._organizations)),
            Route(f"{_PREFIX}/organizations/{{organization}}", api(self._organization)),
            Route(f"{_PREFIX}/organizations/{{organization}}/networks", api(self._networks)),
            Route(network, api(self._network)),
            Route(f"{network}/pii/smDevicesForKey", api(self._person_data)),
            Route(f"{network}/sm/devices", api(self._devices)),
            Route(f"{network}/sm/devices/{{device}}/networkAdapters", api(self._adapters)),
            Route("/{path:path}", self._no_such_page),
        ]

    # --- what comes before every answer ---

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            habits = self.habits
            if habits.redirect_to or habits.redirect_loop:
                origin = habits.redirect_to or _origin(request)
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(f"{origin}{request.url.path}{query}", status_code=302)
            refusal = self._refuse(request)
            return refusal or await handler(request)

        return answer

    def _refuse(self, request: Request) -> Response | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.headers.get("x-cisco-meraki-api-key", "")
        if not given:
            return _errors(401, "Missing API key")
        if given != self.habits.api_key and given not in self._access_tokens:
            return _errors(401, "Invalid API key")
        organization = self._organization_of(request)
        if not self._admits(organization):
            headers = {"Retry-After": "1"} if self.habits.retry_after else {}
            return _errors(429, "API rate limit exceeded for organization", headers)
        if self.habits.deny:
            return _errors(403, "You do not have permission to do that")
        if organization and self._is_disabled(organization):
            return _errors(404, "API access is not enabled")
        return None

    def _admits(self, organization: str) -> bool:
        """Take a turn from the source's limit, and from the organisation's."""
        habits = self.habits
        limits = [("source", habits.total_rate, habits.total_rate)]
        if organization:
            limits.append((organization, habits.rate, float(habits.burst)))
        return self.limits.admit(limits) or not habits.limited

    # --- organisations and networks ---

    def _organization_id(self, number: int) -> str:
        return str(organization_row(number, enabled=True)["id"])

    def _organization_of(self, request: Request) -> str:
        """The organisation whose limit a request counts against; empty for questions about none."""
        given = request.path_params
        for number in range(self.habits.organizations):
            organization = self._organization_id(number)
            if given.get("organization") == organization or (
                "network" in given
                and any(network["id"] == given["network"] for network in self.networks_of(number))
            ):
                return organization
        return ""

    def _is_disabled(self, organization: str) -> bool:
        return organization in {self._organization_id(number) for number in self.habits.api_disabled}

    async def _me(self, _request: Request) -> Response:
        authentication = {
            "mode": "email",
            "api": {"key": {"created": True}},
            "twoFactor": {"enabled": True},
            "saml": {"enabled": False},
        }
        body = {
            "name": "Simulated Administrator",
            "email": "administrator@example.com",
            "lastUsedDashboardAt": "2026-01-15T11:00:00Z",
            "authentication": authentication,
        }
        return JSONResponse(body)

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse parameters that are not implemented, as Meraki writes errors."""
        return _errors(400, not_simulated(*names))

    def _organization_rows(self) -> list[dict[str, Any]]:
        disabled = self.habits.api_disabled
        numbers = range(self.habits.organizations)
        return [organization_row(number, enabled=number not in disabled) for number in numbers]

    async def _organizations(self, request: Request) -> Response:
        return self._page(request, self._organization_rows())

    async def _organization(self, request: Request) -> Response:
        return _one_of(self._organization_rows(), request.path_params["organization"])

    async def _network(self, request: Request) -> Response:
        rows = [row for number in range(self.habits.organizations) for row in self.networks_of(number)]
        return _one_of(rows, request.path_params["network"])

    async def _networks(self, request: Request) -> Response:
        given = request.query_params
        wanted, tags = set(given.getlist("productTypes[]")), set(given.getlist("tags[]"))
        joined = given.get("tagsFilterType", "withAnyTags")
        if joined not in {"withAnyTags", "withAllTags"}:
            return _errors(400, "'tagsFilterType' must be one of: 'withAnyTags' or 'withAllTags'")
        for number in range(self.habits.organizations):
            if self._organization_id(number) == request.path_params["organization"]:
                rows = [
                    row
                    for row in self.networks_of(number)
                    if (not wanted or wanted & set(row["productTypes"]))
                    and len(tags & set(row["tags"])) >= (len(tags) if joined == "withAllTags" else bool(tags))
                ]
                return self._page(request, rows)
        return _errors(404, "Not found")

    # --- devices ---

    def _enrolled(self, request: Request) -> list[SimDevice] | None:
        network = request.path_params["network"]
        known = {row["id"] for number in range(self.habits.organizations) for row in self.networks_of(number)}
        if network not in known:
            return None
        return [device for device in self.fleet if self.network_of(device) == network]

    async def _devices(self, request: Request) -> Response:
        self.device_requests += 1
        devices = self._enrolled(request)
        if devices is None:
            return _errors(404, "Not found")
        asked = {name: request.query_params.getlist(name) for name in _FILTERS}
        if self.habits.bad_serial in asked["serials[]"]:
            return _errors(400, "'serials[]' holds a value that is not allowed")
        for name, values in asked.items():
            wanted = {value.casefold() for value in values}
            if not wanted or self.habits.wrong_filter == "everything":
                continue
            fits = [device for device in devices if (_FILTERS[name](device) or "").casefold() in wanted]
            if self.habits.wrong_filter == "other_device":
                fits = [device for device in devices if device not in fits][:1]
            devices = fits
        fits_scope = in_scope(request.query_params.getlist("scope[]"))
        if fits_scope is None:
            return _errors(400, "'scope[]' begins with an unknown mode, or names no tags")
        devices = [device for device in devices if fits_scope(device)]
        fields = (
            frozenset() if self.habits.fields_ignored else frozenset(request.query_params.getlist("fields[]"))
        )
        as_text, lost = self.habits.numbers_as_text, self.habits.lost_tags
        rows = [device_row(device, fields, numbers_as_text=as_text) for device in devices]
        for row in rows:
            row |= {
                name: [tag for tag in row[name] if tag not in lost]
                for name in ("tags", "autoTags")
                if name in row
            }
        return self._page(request, rows)

    async def _adapters(self, request: Request) -> Response:
        devices = self._enrolled(request) or []
        wanted = request.path_params["device"]
        device = next((device for device in devices if sm_id(device) == wanted), None)
        return _errors(404, "Not found") if device is None else JSONResponse(adapters(device))

    async def _person_data(self, request: Request) -> Response:
        devices = self._enrolled(request)
        if devices is None:
            return _errors(404, "Not found")
        known = {name: value for name, value in request.query_params.items() if value}
        if len(known) != 1:
            return _errors(400, "One key is required")
        ((name, value),) = known.items()
        ids = [sm_id(device) for device in devices if value.casefold() in self._person_keys(name, device)]
        return JSONResponse({request.path_params["network"]: ids} if ids else {})

    def _person_keys(self, name: str, device: SimDevice) -> set[str]:
        macs = device.mac_addresses if self.habits.person_data_wired else (device.wifi_mac,)
        keys: dict[str, Sequence[str | None]] = {
            "mac": [colons(mac) for mac in macs if mac],
            "imei": [device.imei],
            "serial": [device.serial_number],
            "username": [device.username],
            "email": [device.email],
        }
        return {value.casefold() for value in keys.get(name, ()) if value}

    # --- pages ---

    def _page(self, request: Request, rows: list[dict[str, Any]]) -> Response:
        given, habits = request.query_params, self.habits
        size = given.get("perPage", str(_MOST))
        if not size.isdecimal() or not _FEWEST <= int(size) <= _MOST:
            return _errors(400, f"'perPage' must be between {_FEWEST} and {_MOST}")
        start = page_position(given.get("startingAfter"))
        if start is None:
            return _errors(400, "Invalid page token")
        count = min(int(size), habits.page_size or _MOST)
        end = start + count
        links: dict[str, int | None] = {"first": None}
        if habits.endless or end < len(rows):
            links["next"] = count if habits.repeat_token else end
        shown = rows[:count] if habits.endless else rows[start:end]
        address = f"{habits.link_origin or _origin(request)}{request.url.path}"
        header = link_header(address, given.multi_items(), links, quoted=habits.quoted_link)
        if habits.broken_link:
            header = header[:-3]
        return JSONResponse(shown, headers={} if habits.no_link else {"Link": header})

    # --- OAuth ---

    async def _give_token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        client = basic_credentials(request.headers.get("authorization", ""))
        if client != (self.habits.client_id, self.habits.client_secret):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self._refresh_token:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self.refreshes += 1
        self._refresh_token = f"simulated-refresh-token-{self.refreshes}"
        access_token = f"simulated-access-token-{self.refreshes}"
        self._access_tokens.add(access_token)
        body = {
            "access_token": access_token,
            "refresh_token": self._refresh_token,
            "expires_in": self.habits.token_life,
            "token_type": "bearer",
            "scope": "sm:config:read dashboard:general:config:read",
        }
        return JSONResponse(body)

    async def _no_such_page(self, _request: Request) -> Response:
        return HTMLResponse("<html><body><h1>Not here</h1></body></html>", status_code=_LEFT_OUT)


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _one_of(rows: Sequence[dict[str, Any]], number: str) -> Response:
    found = next((row for row in rows if row["id"] == number), None)
    return _errors(404, "Not found") if found is None else JSONResponse(found)


def _errors(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"errors": [text]}, status_code=status, headers=headers)


class MerakiIseSimulator(IseSimulator):
    """A local server of Meraki's endpoint for Cisco ISE: version 3, and the SM device id as GUID."""

    name: ClassVar[str] = "meraki-ise"

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents. They get GUIDs of this vendor.
            **habits: Fields of `IseHabits` that differ from Meraki's.
        """
        known = Fleet.generate() if fleet is None else fleet
        own = Fleet(dataclasses.replace(device, guid=sm_id(device)) for device in known)
        super().__init__(own, **_ISE_NAMES | habits)

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers of a record."""
        known = super().identifiers(device)
        return known and known | {"guid": sm_id(device)}


_ISE_NAMES: Final[dict[str, Any]] = {
    "username": "ise-simulated",
    "vendor": "Cisco Meraki",
    "product_name": "Systems Manager",
    "product_version": "1.0",
    "messaging_support": False,
}
