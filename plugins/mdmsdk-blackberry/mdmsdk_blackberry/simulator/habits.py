"""The switches of the UEM simulators: each field one habit, each default what the reference shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mdmsdk.simulator import IseHabits

__all__ = ["MOST_ROWS", "BlackBerryHabits", "BlackBerryIseHabits"]

MOST_ROWS: Final = 1000
"""UEM REST API reference, Devices: `max` is 1 to 1000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackBerryIseHabits(IseHabits):
    """How the endpoint for Cisco ISE behaves; which version of the protocol UEM speaks is not published."""

    username: str = "mdmsdk-ise"
    vendor: str = "BlackBerry"
    product_name: str = "BlackBerry UEM"
    product_version: str = "12.21.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackBerryHabits:
    """How the server behaves.

    Attributes:
        login: Which login `settings` gives; the server takes both.
        tenant: SRP id of the installation, part of every path.
        username: Administrator account.
        password: Its password.
        domain: Its directory domain; None for a local account.
        line: How the authorization line is written: bare, with a line break behind it, in quotes.
        lock_after: Wrong logins after which the account is locked, so that the right password fails too.
        client_id: OAuth client.
        client_secret: Its secret.
        token_lifetime: Seconds for which a token is good.
        names_lifetime: Whether the token service says how long that is.
        credential_uses: Requests for which a credential of either login is good; None for any number.
        deny: Code of the 403 that every request with a good credential gets.
        version: Of the server; None where the account may not see it.
        down: The service does not run: its pings get 404.
        ise: Whether the endpoint for Cisco ISE is in `settings`; it is served in any case.
        ise_username: Its account, which is another one.
        ise_password: The password of that.
        ise_version: Highest version of the protocol.
        ise_sees: Whether that account sees any device.
        page_cap: Most rows of one answer, whatever was asked for, of both APIs.
        sorts: Whether `sortBy` is taken; lists come in an order of their own without it.
        totals: Whether `includeTotal` is heeded.
        total_name: Member that holds the total.
        mac_search: How an address has to be written in a query.
        ignore_filter: Queries give everything.
        wrong_device: Queries that name a device answer about another one.
        no_identifiers: Records leave out everything that names the device but its GUID.
        link_host: Host in links, where it is another one than the server is reached by.
    """

    login: Literal["administrator", "oauth"] = "administrator"
    tenant: str = "S00000001"
    username: str = "mdmsdk-reader"
    password: str = "simulated-password"
    domain: str | None = None
    line: Literal["bare", "newline", "quoted"] = "newline"
    lock_after: int | None = None
    client_id: str = "simulated-client"
    client_secret: str = "simulated/secret+1"
    token_lifetime: int = 600
    names_lifetime: bool = True
    credential_uses: int | None = None
    deny: str | None = None
    version: str | None = "12.21.0"
    down: bool = False
    ise: bool = True
    ise_username: str = "mdmsdk-ise"
    ise_password: str = "simulated-ise-password"
    ise_version: Literal[1, 2, 3] = 2
    ise_sees: bool = True
    page_cap: int = MOST_ROWS
    sorts: bool = True
    totals: bool = True
    total_name: str = "totalMatches"
    mac_search: Literal["any", "lower", "upper", "bare"] = "lower"
    ignore_filter: bool = False
    wrong_device: bool = False
    no_identifiers: bool = False
    link_host: str | None = None
