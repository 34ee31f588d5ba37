"""The switches of the Intune simulator: each field one habit of Entra ID, Graph or Intune."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["PERMISSIONS", "IntuneHabits"]

PERMISSIONS = frozenset(
    {
        "Application.Read.All",
        "DeviceManagementConfiguration.Read.All",
        "DeviceManagementManagedDevices.Read.All",
        "get_device_compliance",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntuneHabits:
    """How the servers behave.

    Attributes:
        tenant_id: Directory that exists, by a domain of it.
        client_id: Application that is registered in it.
        client_secret: Value of its secret.
        certificates: PEM texts of the certificates registered for it.
        permissions: What an administrator has consented to.
        refuse_login: AADSTS number with which every token request is refused.
        refuse_word: OAuth error that goes with it.
        refuse_status: HTTP status that goes with it.
        token_life: Seconds.
        token_host: Host that the authority's description names for tokens, instead of its own.
        services: Names of the services that Graph knows in this tenant.
        service_origin: Where the Compliance Retrieval service is said to be, instead of this server.
        has_intune: Whether the tenant has an Intune subscription.
        page_size: Greatest number of rows on a page of Graph.
        drop_filters: Filters that Graph would heed are dropped too, so that everything comes back.
        list_all_fields: Lists have Ethernet addresses and UDIDs, which Graph leaves out there.
        foreign_link: Origin written into links to the next page, instead of Graph's own.
        registration: Word for how registered devices stand with Entra ID, such as `notRegistered`.
        words: Other words for compliance states in Graph, such as `conflict` for `noncompliant`.
        throttle_parts: Number of requests within batches that are answered 429 before the others are served.
        throttle_seconds: Their Retry-After.
        truncate_batch: Number of answers that are missing at the end of each batch.
        swap_batch: Two answers in each batch change places, but not their ids.
        query_max_size: Rows of a page of the Compliance Retrieval service, as announced.
        retrieval_rows: What a lookup there gives: the device, any other device, or everything.
        retrieval_says: `true` or `false` for every device, whatever Graph says.
        retrieval_lacks: Intune device ids that are not known there.
        unknown_as: How its boolean is written for a device that was never evaluated.
        names_macs: Whether a lookup by MAC address repeats it in the answer.
        missing: How an unknown device is answered: an empty list, no list, or 404.
        bulk_interval: Seconds between two noncompliant lists; an earlier one gets 503. Intune's is 14400.
    """

    tenant_id: str = "simulated.example.com"
    client_id: str = "8d4e2f60-17b5-4a9c-b3d8-60c1f29e7a54"
    client_secret: str = "simulated-secret"
    certificates: tuple[str, ...] = ()
    permissions: frozenset[str] = PERMISSIONS
    refuse_login: int | None = None
    refuse_word: str = "invalid_client"
    refuse_status: int = 401
    token_life: int = 3599
    token_host: str | None = None
    services: tuple[str, ...] = ("ComplianceRetrievalService", "ScepRequestValidationFEService")
    service_origin: str | None = None
    has_intune: bool = True
    page_size: int = 1000
    drop_filters: bool = False
    list_all_fields: bool = False
    foreign_link: str | None = None
    registration: str = "registered"
    words: tuple[tuple[str, str], ...] = ()
    throttle_parts: int = 0
    throttle_seconds: int = 1
    truncate_batch: int = 0
    swap_batch: bool = False
    query_max_size: int = 100
    retrieval_rows: Literal["right", "other_device", "everything"] = "right"
    retrieval_says: Literal["true", "false"] | None = None
    retrieval_lacks: frozenset[str] = frozenset()
    unknown_as: Literal["absent", "true", "false"] = "absent"
    names_macs: bool = True
    missing: Literal["empty", "no_list", "not_found"] = "empty"
    bulk_interval: float = 0.0
