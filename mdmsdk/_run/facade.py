"""What the sync classes are: the async ones, driven by the calling thread."""

from __future__ import annotations

from typing import Any, NoReturn, Self
from weakref import WeakValueDictionary

_facades: WeakValueDictionary[int, Facade] = WeakValueDictionary()


class Facade:
    """Passes every call on to an object of the async class that waits in sync."""

    _inner: Any

    @classmethod
    def _around(cls, inner: Any) -> Self:
        """The facade of an inner object; the same one as long as it is in use."""
        facade = _facades.get(id(inner))
        if not isinstance(facade, cls):
            facade = object.__new__(cls)
            facade._adopt(inner)
        return facade

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client belongs to its process: make one there instead of pickling it")

    def _adopt(self, inner: Any) -> None:
        self._inner = inner
        _facades[id(inner)] = self  # it lives as long as this one, so nothing else gets its id
