"""What an administrator fills in for the Dashboard API."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mdmsdk import settings
from mdmsdk.logins import ApiKeyLogin, ClientCredentials, RefreshToken
from mdmsdk.settings import Url, below

__all__ = ["DOMAINS", "ComplianceSettings", "MerakiSettings"]

# "Getting started", https://developer.cisco.com/meraki/api-v1/getting-started/: the domains of all regions;
# the shards of an organisation lie below the same ones.
DOMAINS = ("meraki.com", "meraki.ca", "meraki.cn", "meraki.in", "gov-meraki.com")
# A letter or digit among the characters of a tag, and up to three stars; no other wildcard.
_PATTERN = re.compile(r"(?=.*[^\W_])(?!(?:.*\*){4})[^\x00-\x1f\x7f^$()\[\]{}|\\?+,]+")


def _check_pattern(text: str) -> str:
    text = " ".join(text.split())
    if not _PATTERN.fullmatch(text):
        raise ValueError("a tag pattern is text with at most three * for anything, such as '* violating'")
    return text


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Id = Annotated[str, StringConstraints(strip_whitespace=True, pattern="^[A-Za-z0-9_-]+$")]


# "Security policies", https://documentation.meraki.com/SM: each policy gives every device a tag that says
# compliant or violating. The API documents no spelling, so the patterns are settings; the word alone, without
# something before it, is no policy's tag.
def _for_policies(pattern: str) -> Any:
    """A setting for patterns with this default, where the tags are those of security policies."""
    return Field(default_factory=lambda told: (pattern,) if told.get("source") == "policy-tags" else ())


class ComplianceSettings(settings.ComplianceSettings):
    """What decides about compliance, because the API reports none.

    Attributes:
        source: ``policy-tags`` reads the tags that security policies set, ``tags`` those that you set,
            ``rules`` judges by `rules`.
        violating: patterns of tags that say "noncompliant"; one such tag is enough.
        compliant: patterns of tags that say "compliant"; every one of them must be met. In a pattern, ``*``
            stands for anything (the policy's name), a blank for one or more characters that are neither
            letters nor digits, and upper or lower case does not matter. Default for ``policy-tags``:
            ``"*violating"`` and ``"* compliant"``.
    """

    source: Literal["policy-tags", "tags", "rules"]
    violating: tuple[Pattern, ...] = _for_policies("*violating")
    compliant: tuple[Pattern, ...] = _for_policies("* compliant")

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        if bool(self.violating or self.compliant) == (self.source == "rules"):
            raise ValueError("tags need patterns in violating or compliant, and 'rules' takes none")
        return self

    @property
    def field(self) -> str:
        """The member of a row that has the tags."""
        return "autoTags" if self.source == "policy-tags" else "tags"


class MerakiSettings(ApiKeyLogin, RefreshToken, ClientCredentials, settings.ProviderSettings):
    """Settings of `mdmsdk_meraki.MerakiProvider`. A key or a refresh token is needed.

    Attributes:
        base_url: the API of the region; ``/api/v1`` may be left out.
        api_key: of an administrator who may read the networks; or an access token of an OAuth application,
            which ends after an hour.
        refresh_token: of an OAuth application; good for one use, so that `on_refresh` is needed too.
        client_id, client_secret: of the application, for the refresh token.
        on_refresh: called with each new refresh token before it is used; must store it, for the next start of
            the program. Only from Python.
        token_url: where OAuth tokens are renewed.
        organizations: ids of the organisations to ask; default: all that the credential sees.
        networks: ids of the Systems Manager networks to ask; default: all of those organisations.
        compliance: what decides about compliance; without it every device is ``unknown``.
        wired_macs: look a MAC address that is no Wi-Fi address up as a wired one, which costs two or more
            requests for each network.
    """

    gone: ClassVar = {"access_token": "give it as api_key"}
    logins = (("api_key",), ("refresh_token", "client_id", "client_secret", "on_refresh"))
    # "Rate limit", https://developer.cisco.com/meraki/api-v1/rate-limit/: for each organisation over all
    # applications, which is the lane of a request, and for each source address over all organisations.
    account = ()

    base_url: Annotated[Url, below("/api/v1")] = "https://api.meraki.com/api/v1"
    # "OAuth", https://developer.cisco.com/meraki/api-v1/oauth-overview/.
    token_url: Url = "https://as.meraki.com/oauth/token"  # noqa: S105 - an address, no secret
    organizations: tuple[Id, ...] = ()
    networks: tuple[Id, ...] = ()
    compliance: ComplianceSettings | None = None
    wired_macs: bool = False
