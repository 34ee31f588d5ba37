"""The credentials of one server, one for each audience."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mdmsdk._run.gate import Gate
from mdmsdk.errors import AuthenticationError, MdmError, TokenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from mdmsdk._run.budget import Budget
    from mdmsdk._run.stop import Stop
    from mdmsdk.provider import Token

    Login = Callable[[str, Token | None], Awaitable[Token]]

_log = logging.getLogger("mdmsdk.run")

# A token is renewed when a fifth of its life is left, or this much if that is less.
_RENEW_EARLY = 60.0
# Seconds; a server may name a longer life, too large a number to reckon with.
_FOR_EVER = 1e9
_ONE_PROCESS = "the refresh token belongs to the process that logged in, and each is good for one use"
_ONE_PROCESS_HINT = "Make the client after the fork, with a refresh token of its own for each process."


@dataclass
class _Entry:
    """What is known of one audience's credential."""

    lock: Gate
    token: Token | None = None
    previous: Token | None = None
    inherited: bool = False
    renew_at: float = 0.0
    expires_at: float = 0.0
    refusal: MdmError | None = None
    refused_at: float = 0.0


class Tokens:
    """One credential per audience: got once, renewed early, never sent again once it was refused.

    One for a single use is handed out and forgotten.
    """

    def __init__(self, waits: ModuleType, stop: Stop) -> None:
        self._waits = waits
        self._stop = stop
        self._entries: dict[str, _Entry] = {}

    def inherit(self, stop: Stop, *, foreign: bool) -> Tokens:
        """The same credentials with locks of their own; those of a foreign process are not given back."""
        heir = Tokens(self._waits, stop)
        for audience, entry in list(self._entries.items()):
            inherited = foreign or entry.inherited
            heir._entries[audience] = replace(entry, lock=Gate(self._waits, stop), inherited=inherited)
        return heir

    async def get(self, audience: str, budget: Budget, login: Login, refused_wait: float) -> Token:
        """The credential to send, from a login if there is no good one."""
        entry = self._entries.get(audience)
        if entry is None:
            entry = self._entries.setdefault(audience, _Entry(Gate(self._waits, self._stop)))
        asked_at = time.monotonic()
        if entry.token and asked_at < entry.renew_at:
            return entry.token
        turn = entry.lock.turn()
        try:
            if not turn.take_at_once():
                if entry.token and asked_at < entry.expires_at:
                    return entry.token  # another flow renews it; this one is still good
                await turn.take(budget)
            if entry.token and time.monotonic() < entry.renew_at:
                return entry.token
            self._raise_refusal(entry, asked_at, refused_wait)
            return await self._renew(entry, audience, login)
        finally:
            turn.done()

    async def _renew(self, entry: _Entry, audience: str, login: Login) -> Token:
        began = time.monotonic()
        previous = entry.token or entry.previous
        try:
            if previous and previous.rotates and entry.inherited:
                raise TokenError(_ONE_PROCESS, step="refresh", hint=_ONE_PROCESS_HINT)
            token = await login(audience, previous)
        except MdmError as error:
            error.locate(server=None, provider=None, operation="login")
            if entry.token and began < entry.expires_at and error.retryable:
                _log.warning("renewing the token early failed (%s); the old one is still good", error)
                return entry.token
            entry.token, entry.refusal, entry.refused_at = None, error, time.monotonic()
            raise
        if token.single_use:  # whoever waits for the lock logs in as well
            entry.token, entry.previous, entry.refusal, entry.inherited = None, None, None, False
            return token
        life = _FOR_EVER if token.expires_in is None else min(token.expires_in, _FOR_EVER)
        entry.expires_at = began + life
        entry.renew_at = (
            entry.expires_at - min(_RENEW_EARLY, life / 5) if token.expires_in else entry.expires_at
        )
        entry.token, entry.previous, entry.refusal, entry.inherited = token, token, None, False
        return token

    @staticmethod
    def _raise_refusal(entry: _Entry, asked_at: float, refused_wait: float) -> None:
        """Spare the account another bad login: those who waited for one share its outcome."""
        if entry.refusal is None:
            return
        lasting = isinstance(entry.refusal, (AuthenticationError, TokenError)) and not entry.refusal.retryable
        if asked_at <= entry.refused_at or (lasting and time.monotonic() < entry.refused_at + refused_wait):
            raise copy.copy(entry.refusal)

    def refuse(self, audience: str, token: Token, error: AuthenticationError) -> bool:
        """Note that the server refused a credential; tells whether a new login may help."""
        entry = self._entries.get(audience)
        if entry and entry.token is token:  # otherwise another flow has seen to it meanwhile
            entry.token = None
            if token.static:
                entry.refusal, entry.refused_at = error, time.monotonic()
        # A static one may have been renewed meanwhile, by hand.
        return not token.static or entry is None or entry.token not in (None, token)

    def drain(self) -> list[Token]:
        """Forget all credentials, and give those that this process may give back to the server."""
        entries = list(self._entries.values())
        self._entries.clear()
        return [
            entry.token for entry in entries if entry.token and not (entry.token.static or entry.inherited)
        ]
