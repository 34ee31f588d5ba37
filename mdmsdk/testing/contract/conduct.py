"""How a provider behaves while it works: what it shows, how it logs in, what it keeps."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mdmsdk.client.build import kinds_of, make_provider
from mdmsdk.registry import load_provider
from mdmsdk.settings import ProviderSettings
from mdmsdk.simulator.server import serve
from mdmsdk.testing.cassettes import UNKNOWN
from mdmsdk.testing.contract.base import SAMPLES, Stand
from mdmsdk.testing.observing import Observed, observe
from mdmsdk.testing.secrets import find_secrets

if TYPE_CHECKING:
    from mdmsdk.simulator.fleet import Fleet

__all__ = ["Conduct"]

_LIKE_A_SECRET = re.compile(r"passw|secret|token|api_?key|passphrase|credential|private", re.IGNORECASE)
_ACCOUNT = re.compile(r"user|client_id|account|tenant|name|url", re.IGNORECASE)
_EXPIRY = re.compile(r"expir", re.IGNORECASE)


class Conduct(Stand):
    """Tests of one pass over all that the provider can do; the pass is made once for the class."""

    _observed: Observed

    def observed(self, fleet: Fleet) -> Observed:
        """What was seen during the pass."""
        if "_observed" not in vars(type(self)):
            setattr(type(self), "_observed", self._observe(fleet))  # noqa: B010 - kept for all tests of the class
        return self._observed

    def _observe(self, fleet: Fleet) -> Observed:
        with serve(self.simulator(fleet, **self.usual)) as running:
            settings = self.settings(running)
            kinds = self.kinds
            known = {
                kind: key
                for device in fleet[:SAMPLES]
                for kind in kinds
                if (key := self.key(kind, device, running))
            }
            return observe(
                lambda: make_provider(self.provider, settings),
                make_provider(self.provider, {**settings, **self.wrong_login}),
                list(known.values()),
                [kind(UNKNOWN[kind.kind]) for kind in kinds],
            )

    # --- secrets ---

    def test_secrets_are_shown_nowhere(self, fleet: Fleet) -> None:
        assert self.observed(fleet).secrets, "the settings hold no SecretStr, and the login gave no token"
        assert self.observed(fleet).leaks() == []

    def test_secret_settings_are_secret(self) -> None:
        fields = load_provider(self.provider).settings_type.model_fields
        suspect = {name for name in fields if _LIKE_A_SECRET.search(name)}
        suspect = {name for name in (*suspect, *self.wrong_login) if not _ACCOUNT.search(name)}
        common = ProviderSettings.model_fields.keys()
        plain = [
            name
            for name in sorted(suspect & fields.keys() - common)
            if str in kinds_of(fields[name].annotation)
        ]
        assert plain == [], "a secret is a SecretStr, which no repr and no dump shows"

    def test_cassettes_hold_no_secrets(self, fleet: Fleet) -> None:
        folder = self.cassettes or Path("cassettes") / self.provider
        secrets = self.observed(fleet).secrets
        found = {}
        for path in sorted(folder.glob("*.*")):
            text = path.read_text(encoding="utf-8")
            told = [*find_secrets(text), *("a secret of the simulator" for one in secrets if one in text)]
            if told:
                found[path.name] = told
        assert found == {}

    # --- logging in ---

    def test_logs_in_once_and_uses_the_token(self, fleet: Fleet) -> None:
        logins, sent = self.observed(fleet).logins, self.observed(fleet).sent
        assert logins, "nothing was logged in for: give each request an audience"
        once = {one.token.value for one in logins if one.token and one.token.single_use}
        credentials = (request.headers.get("Authorization", "").partition(" ")[2] for request in sent)
        assert all(count == 1 for value, count in Counter(credentials).items() if value in once)
        kept = [one.audience for one in logins if not (one.token and one.token.single_use)]
        often = {audience: count for audience, count in Counter(kept).items() if count > 1}
        assert often == {}, "the token is good for one request only: look at Token.expires_in"

    def test_a_login_needs_no_token(self, fleet: Fleet) -> None:
        asked = [request for login in self.observed(fleet).logins for request in login.requests]
        assert all(request.audience is None for request in asked), "audience=None is wanted"

    def test_a_token_says_how_long_it_lives(self, fleet: Fleet) -> None:
        for login in self.observed(fleet).logins:
            if (token := login.token) is None:
                continue
            assert token.static == (not login.requests and not login.called), (
                "static is what stands in the settings; a token that was got may be got again"
            )
            assert token.expires_in is None or token.expires_in > 0
            if any(_EXPIRY.search(answer.text) for answer in login.answers):
                assert token.expires_in is not None, "the server said when the token ends"
