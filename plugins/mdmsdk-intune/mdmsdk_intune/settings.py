"""What an administrator fills in for Intune, and the clouds that Microsoft runs it in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from mdmsdk.ise import IseServiceSettings
from mdmsdk.logins import CertificateKey
from mdmsdk.settings import Url
from mdmsdk.wire import https_place

__all__ = ["CLOUDS", "Cloud", "IntuneIseSettings", "IntuneSettings"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """The hosts of one of Microsoft's separate clouds.

    Attributes:
        login: where Entra ID gives tokens.
        graph: where Microsoft Graph is; also the audience of its tokens.
        intune: the domain in which Intune's own services stand.
        nac: whether the audience of the Compliance Retrieval service is known.
    """

    login: str
    graph: str
    intune: str
    nac: bool = True


# Microsoft Graph, "National cloud deployments", https://learn.microsoft.com/graph/deployments; Intune,
# "Network endpoints". That DoD shares the Compliance Retrieval audience of US Government L4 is inferred; the
# one of China stands in no list of Microsoft's.
CLOUDS: Final = {
    "global": Cloud("login.microsoftonline.com", "graph.microsoft.com", "manage.microsoft.com"),
    "usgov": Cloud("login.microsoftonline.us", "graph.microsoft.us", "manage.microsoft.us"),
    "usgov-dod": Cloud("login.microsoftonline.us", "dod-graph.microsoft.us", "manage.microsoft.us"),
    "china": Cloud(
        "login.partner.microsoftonline.cn",
        "microsoftgraph.chinacloudapi.cn",
        "manage.microsoftonline.cn",
        nac=False,
    ),
}

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def _check_name(text: str) -> str:
    text = text.strip()
    if not _NAME.fullmatch(text):
        raise ValueError("an id or domain name is wanted, as the app registration's overview shows it")
    return text


def _check_tenant(text: str) -> str:
    text = _check_name(text)
    if text.lower() in {"common", "consumers", "organizations"}:
        raise ValueError("the tenant's own id or domain is wanted: an application logs in to one tenant")
    return text


def _check_audience(text: str) -> str:
    # Entra ID takes what stands before the last slash of a scope for the audience, and Intune's ends in a
    # slash itself. Whichever spelling is given, the audience is what is left of it, with that slash.
    audience = text.strip().removesuffix(".default").rstrip("/") + "/"
    if not audience.startswith(("https://", "api://")):
        raise ValueError("an audience such as https://api.manage.microsoft.com/ is wanted")
    return audience


class IntuneIseSettings(IseServiceSettings):
    """Settings of the provider ``intune-ise``, and what ``intune`` shares with it.

    Attributes:
        base_url: where Microsoft Graph is; `graph_url` or `cloud` decides it.
        tenant_id: the directory (tenant) id, or a domain of the tenant.
        client_id: the application (client) id of the app registration.
        client_secret: the value, not the id, of a client secret.
        certificate: the certificate, with an RSA key, instead of a secret.
        cloud: which of Microsoft's clouds the tenant is in.
        authority_url: the login authority instead of the cloud's: a test authority, a private link.
        graph_url: Microsoft Graph instead of the cloud's.
        nac_audience: the Compliance Retrieval service's audience instead of the cloud's.
    """

    logins = (("client_secret",), ("certificate",))
    # Microsoft Graph, "Service-specific throttling limits", Intune devices: "per app per tenant",
    # https://learn.microsoft.com/graph/throttling-limits
    account = ("tenant_id", "client_id")

    base_url: Url = f"https://{CLOUDS['global'].graph}"
    tenant_id: Annotated[str, AfterValidator(_check_tenant)]
    client_id: Annotated[str, AfterValidator(_check_name)]
    client_secret: SecretStr | None = None
    certificate: CertificateKey | None = None
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
        cloud = CLOUDS.get(str(values.get("cloud")), CLOUDS["global"])
        return {**values, "base_url": graph or base or f"https://{cloud.graph}"}

    @model_validator(mode="after")
    def _check(self) -> IntuneIseSettings:
        if self.authority_url and not self.authority_url.startswith("https://"):
            raise ValueError("authority_url: https is wanted; Microsoft's login library takes nothing else")
        if self.retrieves and self.audience is None:
            raise ValueError(
                "the audience of the Compliance Retrieval service in this cloud is not known: set "
                'nac_audience, or with the provider intune backends = ["graph"]'
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
        return self.authority_url or f"https://{self.place.login}"

    @property
    def audience(self) -> str | None:
        """For whom the tokens of the Compliance Retrieval service are; ends in a slash."""
        return self.nac_audience or (f"https://api.{self.place.intune}/" if self.place.nac else None)

    @property
    def own_hosts(self) -> frozenset[str]:
        """Hosts that stand in the settings instead of Microsoft's, as `MdmProvider.trusts` gets them."""
        hosts = {https_place(self.base_url), https_place(self.authority)}
        return frozenset(host for host in hosts if host) - {self.place.graph, self.place.login}


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

    backends: tuple[Literal["compliance-retrieval", "graph"], ...] = Field(
        default=("compliance-retrieval", "graph"), min_length=1
    )
    # Half of what Graph gives by itself, and refuses to give in time now and then.
    page_size: int = Field(default=500, ge=1, le=1000)
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
