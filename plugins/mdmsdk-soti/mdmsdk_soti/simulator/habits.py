"""The switches of the MobiControl simulator: each field one habit, each default what servers do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SotiHabits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SotiHabits:
    """How the server behaves.

    Attributes:
        client_id: API client.
        client_secret: Its secret.
        username: Console user that may log in.
        password: Its password.
        client_in_body: The token service takes the client in the form and not in the header.
        token_lifetime: Seconds for which a token is good.
        version: What the server calls itself.
        policies: Whether it knows compliance policies, as servers do from 15.1 on.
        types: Records say their `$type`, as those of newer servers do.
        old_words: Kinds as version 13 wrote them, such as iOS.
        encoding: How often the value of a filter has to be encoded; "either" takes both.
        wrong_encoding: What a filter gets that is encoded otherwise: this status, or all devices.
        any_spelling: MAC addresses are found in every spelling, and not only in the one that is stored.
        mac_path: Devices can be read as `mac:` and the address.
        ignored: Properties by which a search gives everything.
        index_lag: Searches show the devices as they were before: compliant, until they are told to sync.
        search_available: Whether the search index is there.
        unknown_id: What an id gets that no device has: a refusal in MobiControl's words, the JSON null, or a
            refusal by the web server, without any word.
        page_cap: Most rows on a page; more are silently not given.
        hidden: Devices of groups that the user may not see; they are silently left out.
        may_use_console: Whether the user has the right Web Console Access.
        may_see_policies: Whether the user has the right View Compliance Policies.
        xml_without_accept: Answers are XML where a request does not ask for JSON.
        management: Status of the first of the two management servers; the other one is offline.
    """

    client_id: str = "simulated-client"
    client_secret: str = "simulated-client-secret"
    username: str = "mdmsdk-reader"
    password: str = "simulated-password"
    client_in_body: bool = False
    token_lifetime: int = 3600
    version: str = "2024.1.0"
    policies: bool = True
    types: bool = True
    old_words: bool = False
    encoding: Literal["single", "double", "either"] = "single"
    wrong_encoding: Literal[400, 404, 422, "everything"] = 400
    any_spelling: bool = False
    mac_path: bool = True
    ignored: frozenset[str] = frozenset()
    index_lag: bool = False
    search_available: bool = True
    unknown_id: Literal[404, 422, "null", "bare"] = 404
    page_cap: int | None = None
    hidden: frozenset[int] = frozenset()
    may_use_console: bool = True
    may_see_policies: bool = True
    xml_without_accept: bool = True
    management: str = "Started"
