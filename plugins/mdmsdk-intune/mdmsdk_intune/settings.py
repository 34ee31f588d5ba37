"""What an administrator fills in for Intune, and the clouds that Microsoft runs it in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from mdmsdk.ise import IseDialectSettings
from mdmsdk.settings import Settings, Url
from mdmsdk.wire import https_place

__all__ = ["CLOUDS", "CertificateSettings", "Cloud", "IntuneIseSettings", "IntuneSettings"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's separate clouds.

    Attributes:
        login: where Entra ID gives tokens.
        graph: where Microsoft Graph is; also the audience of its tokens.
        nac_audience: for whom the Compliance Retrieval service's tokens are; None where that is not known.
        intune: the domain in which Intune's own services stand.
    """

    login: str
    graph: str
    nac_audience: str | None
    intune: str


# Microsoft Graph, "National cloud deployments", https://learn.microsoft.com/graph/deployments; Intune,
# "Network endpoints". That DoD shares the Compliance Retrieval audience of US Government L4 is inferred; the
# one of China stands in no list of Microsoft's.
CLOUDS: Final = {
    "global": Cloud(
        "https://login.microsoftonline.com",
        "https://graph.microsoft.com",
        "https://api.manage.microsoft.com/",
        "manage.microsoft.com",
    ),
    "usgov": Cloud(
        "https://login.microsoftonline.us",
        "https://graph.microsoft.us",
        "https://api.manage.microsoft.us/",
        "manage.microsoft.us",
    ),
    "usgov-dod": Cloud(
        "https://login.microsoftonline.us",
        "https://dod-graph.microsoft.us",
        "https://api.manage.microsoft.us/",
        "manage.microsoft.us",
    ),
    "china": Cloud(
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        None,
        "manage.microsoftonline.cn",
    ),
}

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_NO_TENANT = frozenset({"common", "consumers", "organizations"})


def _check_name(text: str) -> str:
    text = text.strip()
    if not _NAME.fullmatch(text):
        raise ValueError("an id or domain name is wanted, as the app registration's overview shows it")
    return text


def _check_tenant(text: str) -> str:
    text = _check_name(text)
    if text.lower() in _NO_TENANT:
        raise ValueError("the tenant's own id or domain is wanted: an application logs in to one tenant")
    return text


def _check_audience(text: str) -> str:
    # Entra ID takes what stands before the last slash of a scope for the audience, and Intune's ends in a
    # slash itself. Whichever spelling is given, the audience is what is left of it, with that slash.
    audience = text.strip().removesuffix(".default").rstrip("/") + "/"
    if not audience.startswith(("https://", "api://")):
        raise ValueError("an audience such as https://api.manage.microsoft.com/ is wanted")
    return audience


class CertificateSettings(Settings):
    """The certificate by which the application logs in.

    Attributes:
        file: PEM with the certificate, and the key if `key_file` does not have it; or PFX with both.
        key_file: PEM with the private key (RSA).
        password: what opens the key or the PFX file.
    """

    file: Path
    key_file: Path | None = None
    password: SecretStr | None = None


class IntuneIseSettings(IseDialectSettings):
    """Settings of the provider ``intune-ise``, and what ``intune`` shares with it.

    Attributes:
        base_url: where Microsoft Graph is; `graph_url` or `cloud` decides it.
        tenant_id: the directory (tenant) id, or a domain of the tenant.
        client_id: the application (client) id of the app registration.
        client_secret: the value, not the id, of a client secret.
        certificate: the certificate instead of a secret.
        cloud: which of Microsoft's clouds the tenant is in.
        authority_url: the login authority instead of the cloud's: a test authority, a private link.
        graph_url: Microsoft Graph instead of the cloud's.
        nac_audience: the Compliance Retrieval service's audience instead of the cloud's.
    """

    # Graph says where the service stands, and the service describes itself; it speaks version 3 alone and
    # knows no users. So these settings of other dialects are none here.
    instance: ClassVar[str] = ""  # type: ignore[misc] # a field no more
    api_version: ClassVar[Literal[3]] = 3  # type: ignore[misc]
    api_path: ClassVar[None] = None  # type: ignore[misc]
    filter: ClassVar[str] = "all"  # type: ignore[misc]
    max_user_devices: ClassVar[int] = 1  # type: ignore[misc]

    base_url: Url = CLOUDS["global"].graph
    tenant_id: Annotated[str, AfterValidator(_check_tenant)]
    client_id: Annotated[str, AfterValidator(_check_name)]
    client_secret: SecretStr | None = None
    certificate: CertificateSettings | None = None
    cloud: Literal["global", "usgov", "usgov-dod", "china"] = "global"
    authority_url: Url | None = None
    # `base_url` says the same; one of them is enough where the settings are written out.
    graph_url: Url | None = Field(default=None, exclude=True)
    nac_audience: Annotated[str, AfterValidator(_check_audience)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _place(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        graph, base = values.get("graph_url"), values.get("base_url")
        if graph and base and str(graph).rstrip("/") != str(base).rstrip("/"):
            raise ValueError("graph_url and base_url both say where Graph is, but not the same")
        cloud = CLOUDS.get(str(values.get("cloud", "global")), CLOUDS["global"])
        return {**values, "base_url": graph or base or cloud.graph}

    @model_validator(mode="after")
    def _check(self) -> IntuneIseSettings:
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("either client_secret or certificate is wanted")
        if self.client_secret is not None and not self.client_secret.get_secret_value().strip():
            raise ValueError("client_secret is empty")
        if self.authority_url and not self.authority_url.startswith("https://"):
            raise ValueError("authority_url: https is wanted; Microsoft's login library takes nothing else")
        if self.retrieves and self.audience is None:
            raise ValueError(
                "the audience of the Compliance Retrieval service in this cloud is not known: set "
                "nac_audience, "
                'or with the provider intune backends = ["graph"]'
            )
        return self

    @property
    def retrieves(self) -> bool:
        """Whether the Compliance Retrieval service is used."""
        return True

    @property
    def place(self) -> Cloud:
        """The cloud's addresses."""
        return CLOUDS[self.cloud]

    @property
    def authority(self) -> str:
        """Where tokens come from, without the tenant."""
        return self.authority_url or self.place.login

    @property
    def audience(self) -> str | None:
        """For whom the tokens of the Compliance Retrieval service are; ends in a slash."""
        return self.nac_audience or self.place.nac_audience

    @property
    def own_hosts(self) -> frozenset[str]:
        """Hosts that stand in the settings instead of Microsoft's, as `MdmProvider.trusts` gets them."""
        urls = {self.base_url, self.authority} - {self.place.graph, self.place.login}
        return frozenset(place for url in urls if (place := https_place(url)))


PAGE_SIZE: Final = 500
"""Half of what Graph gives by itself, and refuses to give in time now and then."""
Backend = Literal["compliance-retrieval", "graph"]


class IntuneSettings(IntuneIseSettings):
    """Settings of the provider ``intune``.

    Attributes:
        backends: what to ask. Without ``graph``, it can do what ``intune-ise`` can; without
            ``compliance-retrieval``, a MAC address cannot be looked up.
        page_size: rows of a list to ask Graph for at once.
        list_details: whether lists hold Ethernet addresses and UDIDs. Graph has them only in the records
            themselves, which are asked for in batches of 20: each counts against its limits.
        stale_days: after how many days without a check-in a device gets a hint to check in; 0 never.
    """

    backends: tuple[Backend, ...] = Field(default=("compliance-retrieval", "graph"), min_length=1)
    page_size: int = Field(default=PAGE_SIZE, ge=1, le=1000)
    list_details: bool = False
    stale_days: int = Field(default=30, ge=0)

    @property
    def retrieves(self) -> bool:
        """Whether the Compliance Retrieval service is used."""
        return "compliance-retrieval" in self.backends

    @property
    def graphs(self) -> bool:
        """Whether Microsoft Graph is used, apart from finding the Compliance Retrieval service."""
        return "graph" in self.backends
