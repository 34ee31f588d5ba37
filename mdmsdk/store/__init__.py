"""What outlives a call: values by name, in memory, in a file, or on a Redis server."""

from mdmsdk.store.aio import AsyncStore
from mdmsdk.store.settings import StoreSettings
from mdmsdk.store.sync import Store

__all__ = ["AsyncStore", "Store", "StoreSettings"]
