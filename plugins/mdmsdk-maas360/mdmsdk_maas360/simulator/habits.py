"""The switches of the simulated web services: each field one habit, each default what customers see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["PAGE_SIZES", "Maas360Habits"]

PAGE_SIZES: Final = (25, 50, 100, 200, 250)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maas360Habits:
    """How the server behaves.

    Attributes:
        billing_id: Number of the customer's account.
        username: Administrator that may log in.
        password: Its password.
        app_id: Name of the application that was made for the web services.
        app_version: Its version.
        app_access_key: Its key.
        token_lifetime: Seconds for which a token is good.
        refusal_status: Status of an answer that refuses a login or a token; the code stands in the body.
        says_expired: A token that is over is told by a sentence in plain text, with status 200.
        sleepy: The first login fails with a server error.
        may_view_devices: Whether the administrator's role has devices.
        numbers: Texts that look like numbers are written as numbers.
        loses_zeros: So are those that begin with zeros, which are lost.
        single_object: The only row of an answer stands there without a list around it.
        ignored: Parameters that are passed over as if they were not there.
        mac_search: Whether a MAC address is found in any spelling, or as the row has it alone.
        page_cap: Most rows on a page, whatever was asked for.
        repeats_last_page: A page past the end is the last one again, under its own number.
        reorder: Rows come by the last report, and reports come in while a list is read.
        lost_rows: Rows at the end of each search that are counted and not given.
        bad_words: What a state and the passcode's state say where they are bad.
        names_device: Whether the answer about compliance says whose it is.
    """

    billing_id: str = "30000001"
    username: str = "api@example.com"
    password: str = "simulated-password"
    app_id: str = "com.30000001.api"
    app_version: str = "1.0"
    app_access_key: str = "simulated-access-key"
    token_lifetime: float = 3600
    refusal_status: Literal[200, 401] = 200
    says_expired: bool = False
    sleepy: bool = False
    may_view_devices: bool = True
    numbers: bool = True
    loses_zeros: bool = False
    single_object: bool = True
    ignored: frozenset[str] = frozenset()
    mac_search: Literal["any", "as_held"] = "any"
    page_cap: int = PAGE_SIZES[-1]
    repeats_last_page: bool = True
    reorder: bool = False
    lost_rows: int = 0
    bad_words: tuple[str, str] = ("Out of Compliance", "Not Compliant")
    names_device: bool = True
