"""The switches of the ISE simulator: each field one habit, each default what Cisco's description asks for."""

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["IseHabits", "Leniency"]

XmlStyle = Literal["plain", "namespaced"]
Leniency = Literal[
    "any_case",
    "any_compliance",
    "any_filter",
    "any_identifier",
    "any_media",
    "empty_criterion",
    "inventory",
    "loose_paths",
    "mac_separators",
    "optional_parameters",
    "unknown_parameters",
]
MdmInfoForm = Literal["described", "both", "slash", "no_slash"]
Tokens = Literal["number", "text", "awkward"]
OtherForm = Literal["not_found", "redirect"]
HigherVersion = Literal["negotiate", 400, 404, 405, 500, "html"]
ApiPathStyle = Literal["host_root", "instance"]
Identifier = Literal["spec", "guid", "macaddress", "query", "none"]
WrongFilter = Literal["no", "everything", "other_device"]
Unsupported = Literal["error", "empty", "everything"]
DocumentType = Literal["none", "plain", "entity_bomb", "external_entity"]
MacStyle = Literal["upper", "lower", "colons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IseHabits:
    """How the server behaves.

    Attributes:
        username: Account that may log in.
        password: Its password.
        accepts: What the server takes although Cisco's description does not have it. `any_case`: names and
            words in another case. `any_compliance`: whatever is not `false` lists the compliant devices.
            `any_filter`: unknown attributes, an encoded plus. `any_identifier`: any `deviceidentifier`.
            `any_media`: any Accept and Content-Type. `empty_criterion`: an empty `querycriteria` gives all
            devices. `inventory`: so does none in version 3. `loose_paths`: slashes left out or doubled.
            `mac_separators`: MAC addresses with separators. `optional_parameters`: `ise_api_version`,
            `paging`, `filter` and `deviceidentifier` left out or empty. `unknown_parameters`: others are
            ignored, and of two with one name the second.
        refusal: Status of what it does not take; Cisco's description has none.
        deny: Status for every request with the right password: 401 or 403, as for an account without rights.
        lock_after: Wrong logins after which the account is locked, so that the right password fails too.
        instance: Path prefix, such as `/networkIntegrationEndpoint/7`.
        max_api_version: Highest version spoken: 1, 2 or 3.
        higher_version: What asking for a higher one gets: an answer of the highest, a status, an HTML page.
        announce_highest: mdminfo names `max_api_version` even when asked for less, as version 2 is worded.
        answer_api_version: Version written into answers about devices, whatever was negotiated.
        api_path: Announced instead of `/ciscoise/mdmapi/v<version>`; one path then serves all versions.
        api_path_style: `instance` announces the path relative to the instance while serving below it.
        mdminfo_form: Which forms of the discovery path exist. `described`: with the slash before `?` for
            versions 2 and 3, without slash and parameter for version 1. Or one form for all, or `both`.
        mdminfo_other_form: What the other form gets.
        vendor: Reported maker.
        product_name: Reported product.
        product_version: Reported version.
        query_max_size: Announced greatest number of records in one answer.
        page_size: Real greatest number, if it is another.
        messaging_support: What is said about messages; none can be sent.
        missing: Names of elements that are left out everywhere.
        empty_elements: What a device lacks is written as an empty element instead of being left out.
        xml_style: `namespaced` is Intune's: a default namespace; `Attributes` and `Compliance` capitalised.
        boolean_words: How true and false are written.
        mac_style: How addresses are written.
        identifier: Which identifier each device carries. `spec`: MAC address in versions 1 and 2, GUID in 3
            unless `deviceidentifier` asks otherwise. `query` repeats the identifier that was asked for.
        primary_mac_only: Only the first address is kept, though the device is found by any of them.
        sentinel_dates: A device that never checked in did so on 0001-01-01, instead of lacking the element.
        hide_retired: A retired device is unknown; without it, its last verdict stays beside a
            `register_status` of false.
        wrong_filter: Answers about everything, or about one other device, instead of the one asked for.
        unsupported_criterion: What a criterion that the version lacks gets: 400, an empty list, everything.
        final_paging: Whether the last page says `paging_info` 0 or leaves it out.
        tokens: Of the pages: a number, a word, or a text full of characters that a URL has to encode.
        repeat_token: Every page hands out the token of the page after the first.
        page_overlap: Number of records that each page repeats from the page before.
        blank_page: The second page has no records, yet a token for the next.
        total_cap: Greatest number of records in a whole list; the rest is lost without a word.
        bulk_interval: Seconds between two compliance lists; an earlier one gets 503 with Retry-After.
        busy_wait_seconds: Value of `server_busy_wait_seconds` in answers of version 3.
        busy_lists: So many requests for a list of version 3 get no device, at least one second to wait, and
            a token that asks again, before one is served.
        busy_ends: Such an answer says `paging_info` 0 instead, as if the list were empty.
        content_type: Of all XML answers.
        byte_order_mark: Starts answers with one.
        encoding: Of all XML answers, also named in the XML declaration.
        document_type: A DTD in front of the answer: harmless, a bomb of entities, or one that reads a file.
        truncate: Ends every answer in the middle of the text, with a matching Content-Length.
        latency: Seconds before each answer.
    """

    username: str = "ise"
    password: str = "simulated-password"
    accepts: frozenset[Leniency] = frozenset()
    refusal: Literal[400, 422] = 400
    deny: Literal[401, 403] | None = None
    lock_after: int | None = None
    instance: str = ""
    max_api_version: Literal[1, 2, 3] = 3
    higher_version: HigherVersion = "negotiate"
    announce_highest: bool = False
    answer_api_version: int | None = None
    api_path: str | None = None
    api_path_style: ApiPathStyle = "host_root"
    mdminfo_form: MdmInfoForm = "described"
    mdminfo_other_form: OtherForm = "not_found"
    vendor: str = "mdmsdk"
    product_name: str = "Simulated MDM"
    product_version: str = "1.0"
    query_max_size: int = 1000
    page_size: int | None = None
    messaging_support: bool = False
    missing: frozenset[str] = frozenset()
    empty_elements: bool = False
    xml_style: XmlStyle = "plain"
    boolean_words: tuple[str, str] = ("true", "false")
    mac_style: MacStyle = "upper"
    identifier: Identifier = "spec"
    primary_mac_only: bool = False
    sentinel_dates: bool = False
    hide_retired: bool = True
    wrong_filter: WrongFilter = "no"
    unsupported_criterion: Unsupported = "error"
    final_paging: Literal["zero", "absent"] = "zero"
    tokens: Tokens = "number"
    repeat_token: bool = False
    page_overlap: int = 0
    blank_page: bool = False
    total_cap: int | None = None
    bulk_interval: float = 0.0
    busy_wait_seconds: int = 0
    busy_lists: int = 0
    busy_ends: bool = False
    content_type: str = "application/xml"
    byte_order_mark: bool = False
    encoding: Literal["utf-8", "utf-16", "iso-8859-1"] = "utf-8"
    document_type: DocumentType = "none"
    truncate: bool = False
    latency: float = 0.0

    def __post_init__(self) -> None:
        """Refuse leniencies that do not exist."""
        if unknown := set(self.accepts) - set(get_args(Leniency)):
            raise TypeError(f"accepts: {', '.join(sorted(unknown))} unknown")
