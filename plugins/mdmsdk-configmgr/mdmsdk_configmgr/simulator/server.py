"""The server itself: routes, logins, queries and errors."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, SimDevice, Simulator
from mdmsdk.simulator.base import not_simulated
from mdmsdk_configmgr.simulator.habits import ConfigMgrHabits
from mdmsdk_configmgr.simulator.odata import QueryError, condition, fold
from mdmsdk_configmgr.simulator.records import (
    Table,
    discovered_macs,
    inventoried_macs,
    is_blocked,
    smbios_guid,
    tables,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

__all__ = ["ConfigMgrSimulator"]

_OPTIONS: Final = frozenset({"$filter", "$select", "$top", "$skip", "$orderby"})
_BY_KEY: Final = re.compile(r"(\w+)\((?:'([^']*)'|(\d+))\)")
_ORDER: Final = re.compile(r"(\w+)(?: (asc|desc))?")


class ConfigMgrSimulator(Simulator[ConfigMgrHabits]):
    """A local administration service, with Entra ID's tokens for it.

    Attributes:
        accounts: Whose tickets of Kerberos were taken; one that comes twice is refused.
        token_requests: Bodies of the requests for tokens, without secrets.
    """

    name: ClassVar[str] = "configmgr"
    habits_type: ClassVar[type[ConfigMgrHabits]] = ConfigMgrHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {r"/wmi/\w+": _OPTIONS, r"/wmi/\w+\([^/]*\)": frozenset()}

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `ConfigMgrHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.accounts: list[str] = []
        self.token_requests: list[dict[str, str]] = []
        self._spent: set[str] = set()
        self._tokens: dict[str, float] = {}
        self._refresh: str | None = None
        self._tables: tuple[Fleet, ConfigMgrHabits, dict[str, Table]] | None = None
        self._indexes: dict[tuple[str, str], dict[Any, list[Mapping[str, Any]]]] = {}

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        habits = self.habits
        if habits.kerberos:
            return {"provider": self.name, "base_url": f"{origin}/AdminService", "kerberos": {}}
        path = "/AdminService_TokenAuth"
        if habits.gateway:
            path = f"/CCM_Proxy_ServerAuth/{habits.gateway_id}/AdminService"
        return {
            "provider": self.name,
            "base_url": f"{origin}{path}",
            "authority_url": origin,
            "tenant_id": habits.tenant_id,
            "client_id": habits.client_id,
            "resource": habits.resource,
            "username": habits.username,
            "password": habits.password,
        }

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers by which a lookup gives this record."""
        known = {"id": str(device.id), "hostname": device.hostname, "guid": str(smbios_guid(device))}
        if macs := inventoried_macs(device) or discovered_macs(device):
            known["mac"] = macs[0]
        if device.last_check_in is not None:
            known["serial"] = device.serial_number
        return known

    def verdict(self, device: SimDevice) -> str:
        """Give the state that the baselines leave; a blocked client is none that anybody vouches for."""
        state = super().verdict(device)
        doubtful = state == "grace" or (state == "compliant" and is_blocked(device, self.habits))
        return "unknown" if doubtful else state

    def routes(self) -> Sequence[Route]:
        """Give the routes."""
        gateway = "/CCM_Proxy_{way:str}/{number:int}/AdminService"
        return [
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
            Route("/AdminService/wmi/{name}", self._guarded(self._negotiate)),
            Route("/AdminService_TokenAuth/wmi/{name}", self._guarded(self._bearer)),
            Route(f"{gateway}/wmi/{{name}}", self._guarded(self._bearer)),
            Route("/{path:path}", _no_page, methods=["GET", "POST"]),
        ]

    # --- who may ask ---

    def _guarded(self, login: Callable[[Request], bool]) -> Callable[..., Any]:
        async def guarded(request: Request) -> Response:
            habits = self.habits
            if not login(request):
                return _unauthorized(habits, token=login == self._bearer)
            if not habits.role:
                return _error(403, "403", "Forbidden")
            if not habits.wmi_rights:
                return _error(404, "404", "Access denied  WMI QUERY: ")
            if habits.gateway and request.path_params.get("number", int(habits.gateway_id)) != int(
                habits.gateway_id
            ):
                return _no_page(request)
            try:
                return self._query(request)
            except QueryError as error:
                return _error(400, "", str(error))

        return guarded

    def _bearer(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and self._tokens.get(token, 0.0) > time.monotonic()

    def _negotiate(self, request: Request) -> bool:
        """Check a ticket with the keytab; NTLM, and a ticket that came before, are refused."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if not self.habits.kerberos or scheme != "Negotiate" or text in self._spent:
            return False
        import gssapi  # with the extra "kerberos" alone
        from gssapi.raw.misc import GSSError

        self._spent.add(text)
        try:
            known = gssapi.Credentials(usage="accept", store={"keytab": self.habits.kerberos})
            context = gssapi.SecurityContext(creds=known, usage="accept")
            context.step(base64.b64decode(text, validate=True))
            if not context.complete:
                return False
            self.accounts.append(str(context.initiator_name))
        except (ValueError, GSSError):
            return False
        return True

    async def _token(self, request: Request) -> Response:
        habits = self.habits
        form = dict(parse_qsl((await request.body()).decode("ascii", "replace")))
        given = form.pop("password", form.pop("refresh_token", None))
        self.token_requests.append(form)
        grant, wanted = form.get("grant_type"), f"{habits.resource}/.default"
        known = (
            request.path_params["tenant"] == habits.tenant_id and form.get("client_id") == habits.client_id
        )
        if not known or wanted not in form.get("scope", "").split():
            return _json({"error": "invalid_client" if not known else "invalid_scope"}, 400)
        good = {
            "password": form.get("username") == habits.username and given == habits.password,
            "refresh_token": given == (self._refresh or habits.refresh_token),
        }
        if not good.get(grant or "", False):
            word = "invalid_grant" if grant in good else "unsupported_grant_type"
            return _json({"error": word, "error_codes": [50126], "correlation_id": secrets.token_hex(4)}, 400)
        token = secrets.token_hex(24)
        self._tokens[token] = time.monotonic() + habits.token_lifetime
        answer = {"token_type": "Bearer", "expires_in": habits.token_lifetime, "access_token": token}
        if grant == "refresh_token":
            self._refresh = secrets.token_hex(24) if habits.rotates else habits.refresh_token
            answer["refresh_token"] = self._refresh
        return _json(answer)

    # --- what is asked ---

    def _known(self) -> dict[str, Table]:
        if self._tables is None or self._tables[:2] != (self.fleet, self.habits):
            self._tables = self.fleet, self.habits, tables(self.fleet, self.habits)
            self._indexes = {}
        return self._tables[2]

    def _query(self, request: Request) -> Response:
        asked = request.path_params["name"]
        key = _BY_KEY.fullmatch(asked)
        name = key[1] if key else asked
        known = self._known()
        if not self.habits.exact_case:
            name = next((one for one in known if one.lower() == name.lower()), name)
        if name not in known:
            return _no_page(request)
        table = known[name]
        if key:
            value = key[2] if key[2] is not None else int(key[3])
            rows = [row for row in table.rows if table.key and row[table.key] == value]
            return self._answer(request, name, rows, None) if rows else _no_page(request)
        given = request.query_params
        rows = self._filtered(name, table, given.get("$filter"))
        rows = _ordered(rows, given.get("$orderby"))
        skip, top = _number(given.get("$skip"), 0), _number(given.get("$top"), len(rows))
        most = min(top, self.habits.page_cap or top)
        part = rows[skip : skip + most]
        link = str(request.url.include_query_params(**{"$skip": skip + most}))
        cut = self.habits.links and most < top and skip + most < len(rows)
        shown = _selected(part, given.get("$select"), table)
        return self._answer(request, name, shown, link if cut else None)

    def _filtered(self, name: str, table: Table, text: str | None) -> list[Mapping[str, Any]]:
        if not self.habits.scope or not table.rows:
            return []
        if text is None or (self.habits.ignore_filter and name != "SMS_Site"):
            return list(table.rows)
        wanted = condition(text, table.rows[0], arrays=self.habits.arrays)
        candidates = table.rows
        if wanted.name is not None:
            index = self._index(name, table, wanted.name)
            found = {id(row): row for value in wanted.values for row in index.get(value, ())}
            candidates = list(found.values())
        rows = [row for row in candidates if wanted.test(row)]
        if self.habits.wrong_device and rows and "ResourceI" in str(table.key):
            rows = [next(row for row in table.rows if row not in rows)]
        return rows

    def _index(self, name: str, table: Table, column: str) -> dict[Any, list[Mapping[str, Any]]]:
        index = self._indexes.get((name, column))
        if index is None:
            index = self._indexes[name, column] = {}
            for row in table.rows:
                value = row[column]
                for one in value if isinstance(value, list) else (value,):
                    index.setdefault(fold(one), []).append(row)
        return index

    def _answer(
        self, request: Request, name: str, rows: Sequence[Mapping[str, Any]], link: str | None
    ) -> Response:
        lazy = sorted(self._known()[name].lazy)
        prefix = str(request.url).partition("/wmi/")[0]
        answer: dict[str, Any] = {"@odata.context": f"{prefix}/wmi/$metadata#{name}"}
        # Lists leave out what costs the provider a look at another table.
        value = [{"__LAZYPROPERTIES": lazy, **row, **dict.fromkeys(lazy)} for row in rows]
        if link:
            answer["@odata.nextLink"] = link
        return _json(answer | {"value": value})

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse options that are not implemented, as the service writes errors."""
        return _error(400, "", not_simulated(*names))


def _ordered(rows: list[Mapping[str, Any]], text: str | None) -> list[Mapping[str, Any]]:
    if text is None:
        return rows
    found = _ORDER.fullmatch(text)
    if found is None or (rows and found[1] not in rows[0]):
        raise QueryError(f"the order {text!r} cannot be read")
    return sorted(rows, key=lambda row: fold(row[found[1]]), reverse=found[2] == "desc")


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal():
        raise QueryError(f"{text!r} is no number of rows")
    return int(text)


def _selected(rows: Sequence[Mapping[str, Any]], names: str | None, table: Table) -> list[Mapping[str, Any]]:
    if names is None:
        return list(rows)
    wanted = names.split(",")
    if table.rows and (lacking := [name for name in wanted if name not in table.rows[0]]):
        raise QueryError(f"Could not find a property named '{lacking[0]}'")
    return [{name: row[name] for name in wanted} for row in rows]


def _unauthorized(habits: ConfigMgrHabits, *, token: bool) -> Response:
    # HTTP.sys answers before the service does. From version 2509 on, it offers no NTLM.
    response = HTMLResponse("<html><body><h2>Not Authorized</h2></body></html>", 401)
    response.headers["www-authenticate"] = "Bearer" if token else "Negotiate"
    if habits.offers_ntlm and not token:
        response.headers.append("www-authenticate", "NTLM")
    return response


def _error(status: int, code: str, message: str) -> Response:
    return _json({"error": {"code": code, "message": message}}, status)


def _json(content: Any, status: int = 200) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, {"odata-version": "4.0"}, "application/json; odata.metadata=minimal")


def _no_page(_request: Request) -> Response:
    return HTMLResponse("<html><body><h2>Not Found</h2><p>HTTP Error 404.</p></body></html>", 404)
