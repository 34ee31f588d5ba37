"""What an administrator fills in for the Dashboard API."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints, model_validator

from mdmsdk import settings
from mdmsdk.logins import ApiKeyLogin, ClientCredentials, Credential, RefreshToken, check_one_login
from mdmsdk.settings import Url

__all__ = ["ComplianceSettings", "MerakiSettings", "is_meraki_host"]

# "Getting started", https://developer.cisco.com/meraki/api-v1/getting-started/: the base of most regions, and
# the domains of all; the shards of an organisation lie below the same ones.
_WORLD = "https://api.meraki.com/api/v1"
_DOMAINS = ("meraki.com", "meraki.ca", "meraki.cn", "meraki.in", "gov-meraki.com")
# "OAuth", https://developer.cisco.com/meraki/api-v1/oauth-overview/.
_TOKEN_URL = "https://as.meraki.com/oauth/token"  # noqa: S105 - an address, no secret
_HOST = r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$"
_RENEWAL = ("refresh_token", "client_id", "client_secret", "on_refresh")

# "Security policies", https://documentation.meraki.com/SM: each policy gives every device a tag that says
# compliant or violating. The API documents no spelling, so the patterns are settings; the word alone, without
# something before it, is no policy's tag.
_POLICY_TAGS = (("*violating",), ("* compliant",))
# A letter or digit among the characters of a tag, and up to three stars; no other wildcard.
_PATTERN = re.compile(r"(?=.*[^\W_])(?!(?:.*\*){4})[^\x00-\x1f\x7f^$()\[\]{}|\\?+,]+")


def is_meraki_host(host: str) -> bool:
    """Whether a host lies in one of Meraki's domains."""
    return any(host == domain or host.endswith(f".{domain}") for domain in _DOMAINS)


def _check_pattern(text: str) -> str:
    text = " ".join(text.split())
    if not _PATTERN.fullmatch(text):
        raise ValueError("a tag pattern is text with at most three * for anything, such as '* violating'")
    return text


def _check_base(url: str) -> str:
    return url if urlsplit(url).path else f"{url}/api/v1"


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Id = Annotated[str, StringConstraints(strip_whitespace=True, pattern="^[A-Za-z0-9_-]+$")]
Host = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=_HOST)]


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
    violating: tuple[Pattern, ...] | None = None
    compliant: tuple[Pattern, ...] | None = None

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        given = bool(self.violating or self.compliant)
        if (self.source == "tags" and not given) or (self.source == "rules" and given):
            raise ValueError("source 'tags' needs patterns in violating or compliant, and 'rules' takes none")
        return self

    @property
    def patterns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The patterns of violating and of compliant tags, defaults filled in."""
        violating, compliant = _POLICY_TAGS if self.source == "policy-tags" else ((), ())
        return (
            violating if self.violating is None else self.violating,
            compliant if self.compliant is None else self.compliant,
        )

    @property
    def field(self) -> str:
        """The member of a row that has the tags."""
        return "autoTags" if self.source == "policy-tags" else "tags"


class MerakiSettings(ApiKeyLogin, RefreshToken, ClientCredentials, settings.ProviderSettings):
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
        redirect_hosts: hosts that may see the credential, in addition to Meraki's own domains, as ``HOST`` or
            ``HOST:PORT``.
        wired_macs: look a MAC address that is no Wi-Fi address up as a wired one, which costs two or more
            requests for each network.
    """

    base_url: Annotated[Url, AfterValidator(_check_base)] = _WORLD
    access_token: Credential | None = None
    token_url: Url = _TOKEN_URL
    organizations: tuple[Id, ...] = ()
    networks: tuple[Id, ...] = ()
    compliance: ComplianceSettings | None = None
    redirect_hosts: tuple[Host, ...] = ()
    wired_macs: bool = False

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        alone = () if self.refresh_token else (("access_token",),)  # else it is used up first
        check_one_login(self, ("api_key",), _RENEWAL, *alone)
        return self

    @property
    def tags(self) -> ComplianceSettings | None:
        """What decides where tags do."""
        return self.compliance if self.compliance and self.compliance.source != "rules" else None
