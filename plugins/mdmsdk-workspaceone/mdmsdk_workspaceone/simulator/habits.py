"""The switches of the UEM simulator: each field one habit, each default what tenants are seen to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["MOST_ROWS", "WorkspaceOneHabits"]

MOST_ROWS: Final = 500
"""UEM's API help: the most rows of a page; whoever asks for more gets as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceOneHabits:
    """How the server behaves.

    Attributes:
        login: Which login `settings` gives; the server takes all three.
        tenant_code: API key.
        username: Account that may log in.
        password: Its password.
        client_id: OAuth client.
        client_secret: Its secret.
        token_lifetime: Seconds for which a token is good.
        oauth_needs_tenant_code: Whether a token alone is not enough.
        certificate: PEM file of the certificate that may sign requests.
        certificate_key: PEM file of its key, for `settings`.
        certificate_signs_query: Whether the query belongs to what is signed.
        may_read_devices: Whether the role of the account has devices.
        group_id: Number of the one organisation group.
        group_uuid: Its UUID.
        search_version: Highest version of the device search.
        uuid_version: Highest version of the read by UUID.
        missing_version: What a higher one gets: an answer of the highest there is, or this status.
        strict_gateway: `;version=1` gets 503, as one tenant's gateway did in 2026.
        names_version: Whether answers say in which version they are.
        ignore_filter: Searches give everything.
        wrong_device: Lookups answer about another device.
        no_identifiers: Lookups answer with a record without any identifier.
        v3_filter: What version 3's filter understands: words such as NOT_COMPLIANT, or true and false; the
            rest gives nothing.
        page_cap: Most rows on a page; more are silently not given.
        totals: Whether lists say how many rows there are.
        lost_rows: Rows of the end of each list that are counted but not given.
        past_the_end: What a page past the last row gets.
        bulk_refuses: A bulk lookup gets 404 if none matches, or already if any does not.
        bulk_cap: Most rows of a bulk answer.
        zone: Of the server; times in searches are its own.
        varied_states: All words for the compliance status, not the usual two.
        integer_enums: Enumerations come as numbers where the description says text.
        network_details: Records list all network interfaces.
        old_errors: Errors in the older form.
        quota: Requests a day.
    """

    login: Literal["basic", "oauth", "certificate"] = "basic"
    tenant_code: str = "simulated-tenant-code"
    username: str = "mdmsdk-reader"
    password: str = "simulated-password"
    client_id: str = "simulated-client"
    client_secret: str = "simulated-client-secret"
    token_lifetime: int = 3600
    oauth_needs_tenant_code: bool = False
    certificate: str | None = None
    certificate_key: str | None = None
    certificate_signs_query: bool = False
    may_read_devices: bool = True
    group_id: int = 570
    group_uuid: str = "6b1f2a0c-5d3e-4f70-9a81-0b2c3d4e5f60"
    search_version: Literal[1, 2, 3] = 3
    uuid_version: Literal[2, 3] = 3
    missing_version: Literal["lower", 400, 404, 406, 503] = "lower"
    strict_gateway: bool = True
    names_version: bool = True
    ignore_filter: bool = False
    wrong_device: bool = False
    no_identifiers: bool = False
    v3_filter: Literal["words", "boolean"] = "words"
    page_cap: int = MOST_ROWS
    totals: bool = True
    lost_rows: int = 0
    past_the_end: Literal["204", "empty"] = "204"
    bulk_refuses: Literal["none", "any"] = "none"
    bulk_cap: int | None = None
    zone: str = "Europe/London"
    varied_states: bool = True
    integer_enums: bool = True
    network_details: bool = True
    old_errors: bool = False
    quota: int = 250_000
