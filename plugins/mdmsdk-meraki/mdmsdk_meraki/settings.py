"""What an administrator fills in for the Dashboard API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from mdmsdk.settings import ProviderSettings, Settings, Url

__all__ = ["DEFAULT_PATTERNS", "ComplianceSettings", "MerakiSettings", "Rule"]

# "Getting started", https://developer.cisco.com/meraki/api-v1/getting-started/: the base of most regions.
_WORLD = "https://api.meraki.com/api/v1"
# "OAuth", https://developer.cisco.com/meraki/api-v1/oauth-overview/.
_TOKEN_URL = "https://as.meraki.com/oauth/token"  # noqa: S105 - an address, no secret

# "Security policies", https://documentation.meraki.com/SM: each policy gives every device a tag that says
# compliant or violating. The API documents no spelling, so the patterns are settings; the word alone, without
# something before it, is no policy's tag.
DEFAULT_PATTERNS = (("*violating",), ("* compliant",))
"""Patterns of violating and of compliant policy tags, where the settings give none."""

Rule = Literal["not-rooted", "passcode", "encryption", "no-missing-apps", "not-quarantined"]

_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,5})?")
_ID = re.compile(r"[A-Za-z0-9_-]+")
_CREDENTIAL = re.compile(r"[\x21-\x7e]+")
# Characters of a tag, and * and the blank with their own meaning; no other wildcard or regular expression.
_PATTERN = re.compile(r"[^\x00-\x1f\x7f^$()\[\]{}|\\?+,]+")
_MOST_STARS = 3


def _check_pattern(text: str) -> str:
    text = " ".join(text.split())
    if not _PATTERN.fullmatch(text):
        raise ValueError("a tag pattern is text with * for anything, such as '* violating'; nothing else")
    if not re.search(r"[^\W_]", text) or text.count("*") > _MOST_STARS:
        raise ValueError(f"a tag pattern needs a letter or digit, and at most {_MOST_STARS} stars")
    return text


def _check_base(url: str) -> str:
    path = urlsplit(url).path
    if not path:
        return f"{url}/api/v1"
    if path.endswith("/v0"):
        raise ValueError("version 0 of the Dashboard API is no longer served; end it with /api/v1")
    return url


def _check_host(text: str) -> str:
    host = text.strip().lower()
    if not _HOST.fullmatch(host):
        raise ValueError(
            "a host name is wanted, without scheme, path or *, such as n1.example.com or n1.example.com:8443"
        )
    return host


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text.strip()):
        raise ValueError("an id is wanted, such as 2930418 or N_24329156, and not a name")
    return text.strip()


def _check_credential(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not _CREDENTIAL.fullmatch(text):
        raise ValueError("it is empty, or has characters that no header may carry")
    return SecretStr(text)


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Id = Annotated[str, AfterValidator(_check_id)]
Credential = Annotated[SecretStr, AfterValidator(_check_credential)]


class ComplianceSettings(Settings):
    """What decides about compliance, because the API reports none.

    Attributes:
        source: ``policy-tags`` reads the tags that security policies set, ``tags`` those that you set,
            ``rules`` the posture of the device.
        violating: patterns of tags that say "noncompliant"; one such tag is enough.
        compliant: patterns of tags that say "compliant"; every one of them must be met. In a pattern, ``*``
            stands for anything (the policy's name), a blank for one or more characters that are neither
            letters nor digits, and upper or lower case does not matter. Default for ``policy-tags``:
            ``"*violating"`` and ``"* compliant"``.
        rules: what must be true of a device, for ``rules``.
        max_contact_age: the most days since the last contact, for ``rules``; None for no such rule.
    """

    source: Literal["policy-tags", "tags", "rules"]
    violating: tuple[Pattern, ...] | None = None
    compliant: tuple[Pattern, ...] | None = None
    rules: tuple[Rule, ...] = ()
    max_contact_age: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        patterns, rules = bool(self.violating or self.compliant), bool(self.rules or self.max_contact_age)
        if self.source == "rules" and (patterns or not rules):
            raise ValueError("source 'rules' takes rules or max_contact_age, and no tag patterns")
        if self.source != "rules" and rules:
            raise ValueError("rules and max_contact_age belong to source 'rules'")
        if self.source == "tags" and not patterns:
            raise ValueError("source 'tags' needs patterns in violating or compliant")
        return self

    @property
    def patterns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The patterns of violating and of compliant tags, defaults filled in."""
        default = DEFAULT_PATTERNS if self.source == "policy-tags" else ((), ())
        return (
            default[0] if self.violating is None else self.violating,
            default[1] if self.compliant is None else self.compliant,
        )


class MerakiSettings(ProviderSettings):
    """Settings of `mdmsdk_meraki.MerakiProvider`. One of the three credentials is needed.

    Attributes:
        base_url: the API of the region; ``/api/v1`` may be left out.
        api_key: of an administrator who may read the networks.
        access_token: of an OAuth application; ends after an hour, unless a refresh token is given too.
        refresh_token: of the same application; good for one use, so that `on_refresh` is needed too.
        client_id, client_secret: of the application, for the refresh token.
        on_refresh: called with each new refresh token before it is used; must store it, for the next start of
            the program. Only from Python.
        token_url: where OAuth tokens are renewed.
        organizations: ids of the organisations to ask; default: all that the credential sees.
        networks: ids of the Systems Manager networks to ask; default: all of those organisations.
        compliance: what decides about compliance; without it every device is ``unknown``.
        redirect_hosts: hosts that may see the credential, in addition to Meraki's own domains.
        wired_macs: look a MAC address that is no Wi-Fi address up as a wired one, which costs two or more
            requests for each network.
    """

    base_url: Annotated[Url, AfterValidator(_check_base)] = _WORLD
    api_key: Credential | None = None
    access_token: Credential | None = None
    refresh_token: Credential | None = None
    client_id: str | None = None
    client_secret: Credential | None = None
    on_refresh: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    token_url: Url = _TOKEN_URL
    organizations: tuple[Id, ...] = ()
    networks: tuple[Id, ...] = ()
    compliance: ComplianceSettings | None = None  # type: ignore[assignment] # its own rules, for now
    redirect_hosts: tuple[Annotated[str, AfterValidator(_check_host)], ...] = ()
    wired_macs: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.api_key) == bool(self.access_token or self.refresh_token):
            raise ValueError("either api_key or an OAuth access_token (or refresh_token) is needed, not both")
        if self.refresh_token and not (self.client_id and self.client_secret and self.on_refresh):
            raise ValueError(
                "refresh_token needs client_id, client_secret and, because it is good for a single use, "
                "on_refresh, a function that stores the next one (only from Python)"
            )
        return self
