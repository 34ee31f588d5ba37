"""The switches of the Jamf Pro simulator: each field one habit, each default what the vendor describes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ALL_PRIVILEGES", "JamfHabits"]

Source = Literal["smart-group", "advanced-search", "conditional-access", "rules", "none"]
WrongFilter = Literal["no", "everything", "other_device"]

ALL_PRIVILEGES = frozenset(
    {
        "Read Computers",
        "Read Mobile Devices",
        "Read Smart Computer Groups",
        "Read Static Computer Groups",
        "Read Smart Mobile Device Groups",
        "Read Static Mobile Device Groups",
        "Read Advanced Computer Searches",
        "Read Advanced Mobile Device Searches",
        "Read Device Compliance Information",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JamfHabits:
    """How the server behaves.

    Attributes:
        version: What it calls itself, and what decides which endpoints and parameters it has.
        context: Path below which everything lies, as on premises.
        client_id: The API client that may log in.
        client_secret: Its secret.
        username: The user who may log in.
        password: Its password.
        login: Which of the two `settings` hands out.
        oauth_path: Which paths the login of API clients has; `auto` follows the version.
        basic: Whether a token can be had for a password at all.
        password_expired: The user has to choose a new password first.
        token_lifetime: Seconds that a token lives.
        token_grace: Seconds that it lives longer than it is said to.
        token_uses: Requests after which a token ends early, as if its time were over.
        sticky: A token is known only to the node that gave it, which a cookie names.
        privileges: What the account may do.
        source: Source of compliance that `settings` hands out.
        members: What being in the group or search means; there is one of either kind.
        deleted_groups: Ids of smart groups that are gone.
        empty_groups: Ids of smart groups that nobody is in, nor in the search beside.
        partner: Whether an integration for conditional access knows any device.
        named: Other names of smart groups, by id.
        page_cap: Most rows of a page; more are not given, without a word.
        max_url: Longest request target.
        has_in: Whether filters may use `=in=`.
        wrong_filter: Answers about everything, or about one other device, instead of the one asked for.
        ignores_sections: Gives only the section GENERAL, whatever is asked for.
        damaged: Ids of records at which the server fails, or whose sections it leaves out where it may.
        match: Whether the Classic API still searches computers, and whether it sees the second address.
        spaced_imei: Writes an IMEI in groups of digits.
        lower_case_macs: Writes MAC addresses in lower case.
        single_rows: The Classic API writes a list of one as that one.
        html_errors: Errors of the Jamf Pro API are HTML, as from what stands before it.
        latency: Seconds before each answer.
    """

    version: str = "11.30.1-t1784555528405"
    context: str = ""
    client_id: str = "5c1a2b30-simulated-client"
    client_secret: str = "simulated-client-secret"
    username: str = "nac"
    password: str = "simulated-password"
    login: Literal["client", "user"] = "client"
    oauth_path: Literal["auto", "new", "legacy", "both"] = "auto"
    basic: bool = True
    password_expired: bool = False
    token_lifetime: float = 1200.0
    token_grace: float = 0.0
    token_uses: int | None = None
    sticky: bool = False
    privileges: frozenset[str] = ALL_PRIVILEGES
    source: Source = "smart-group"
    members: Literal["compliant", "noncompliant"] = "compliant"
    deleted_groups: frozenset[int] = frozenset()
    empty_groups: frozenset[int] = frozenset()
    partner: bool = True
    named: Mapping[int, str] = field(default_factory=dict, hash=False)
    page_cap: int = 2000
    max_url: int = 8000
    has_in: bool = True
    wrong_filter: WrongFilter = "no"
    ignores_sections: bool = False
    damaged: frozenset[int] = frozenset()
    match: Literal["both", "primary", "gone"] = "both"
    spaced_imei: bool = False
    lower_case_macs: bool = False
    single_rows: bool = False
    html_errors: bool = False
    latency: float = 0.0
