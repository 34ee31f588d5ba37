"""What an administrator fills in for either product."""

from __future__ import annotations

from pydantic import Field

from mdmsdk.logins import BasicLogin
from mdmsdk.scopes import Chosen
from mdmsdk.settings import ProviderSettings

__all__ = ["IvantiSettings"]


class IvantiSettings(BasicLogin, ProviderSettings):
    """What both products need.

    Attributes:
        spaces: numbers or names of the device spaces to look into; default: all that the account sees.
        page_size: rows to ask for on one page. 200 are known to work with every EPMM; Neurons for MDM refuses
            more than 500.
    """

    spaces: Chosen = ()
    page_size: int = Field(default=200, ge=2, le=500)
