"""The switches of the simulator: each field one habit, each default what sites are seen to do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConfigMgrHabits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMgrHabits:
    """How the server behaves.

    Attributes:
        kerberos: Keytab with which tickets are checked; without it, `/AdminService` lets nobody in. With it,
            `settings` gives the login by Kerberos.
        offers_ntlm: Whether a refusal offers NTLM too, as before version 2509. It is taken in no version.
        gateway: Whether `settings` leads through a cloud management gateway.
        gateway_id: The number in the gateway's path.
        tenant_id: Directory of the accounts.
        client_id: The application that asks for tokens.
        resource: The application for which tokens are.
        username: An account with the role "Read-only Analyst".
        password: Its password.
        refresh_token: One that is good at first.
        rotates: Whether each refresh token is good for one use.
        token_lifetime: Seconds for which a token is good.
        role: Whether the account has a role; without one, 403.
        wmi_rights: Whether the account has rights in WMI; without them, 404 with "Access denied".
        scope: Whether the account sees a collection; without one, all lists are empty with 200.
        exact_case: Whether the names of classes are told apart by case.
        arrays: Whether a filter may look into an array.
        page_cap: Most rows of an answer.
        links: Whether an answer that was cut names the next page.
        hyphens: Whether the inventory of some computers writes addresses with hyphens.
        swapped: Whether some computers report the SMBIOS GUID in the other byte order.
        blocks: Whether some clients are blocked.
        users: Whether there are rows of single users, not all of which comply.
        revisions: Whether there are rows of former revisions of a baseline.
        assigned: Whether a baseline is assigned.
        ignore_filter: Answers give every row.
        wrong_device: Lookups answer about another device.
    """

    kerberos: str | None = None
    offers_ntlm: bool = False
    gateway: bool = False
    gateway_id: str = "72057594037927941"
    tenant_id: str = "6b1f2a0c-5d3e-4f70-9a81-0b2c3d4e5f60"
    client_id: str = "2d3c4b5a-6978-4a5b-8c7d-1e2f3a4b5c6d"
    resource: str = "api://6b1f2a0c-5d3e-4f70-9a81-0b2c3d4e5f60/configmgr"
    username: str = "reader@example.com"
    password: str = "simulated-password"
    refresh_token: str = "simulated-refresh-token"
    rotates: bool = False
    token_lifetime: int = 3600
    role: bool = True
    wmi_rights: bool = True
    scope: bool = True
    exact_case: bool = True
    arrays: bool = True
    page_cap: int | None = None
    links: bool = False
    hyphens: bool = True
    swapped: bool = True
    blocks: bool = True
    users: bool = True
    revisions: bool = True
    assigned: bool = True
    ignore_filter: bool = False
    wrong_device: bool = False
