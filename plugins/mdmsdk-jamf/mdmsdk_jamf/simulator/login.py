"""The login of the simulated server: tokens of API clients and of users."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mdmsdk.simulator import Fleet, Simulator, basic_credentials
from mdmsdk_jamf.simulator.habits import JamfHabits

__all__ = ["LoginSimulator", "Refusal"]

_NODE: Final = "jpro-ingress"
_OAUTH_SINCE: Final = (10, 49)
_NEW_OAUTH_SINCE: Final = (11, 0)
_UNAUTHORISED, _NOT_FOUND = 401, 404


@dataclass(slots=True)
class _Session:
    """One token: when it ends, how often it may still be used, and whether it is a user's."""

    ends: float
    uses: int | None
    user: bool


class Refusal(Exception):  # noqa: N818 - no error of ours: an answer on its way
    """A status to answer with, and what the error body names."""

    def __init__(self, status: int, code: str | None = None, field: str | None = None) -> None:
        super().__init__(status)
        self.status, self.code, self.field = status, code, field


class LoginSimulator(Simulator[JamfHabits]):
    """What is asked before anything else, see `mdmsdk_jamf.simulator.JamfSimulator`."""

    def __init__(self, fleet: Fleet | None, **habits: Any) -> None:
        """Prepare a server without tokens."""
        super().__init__(fleet, **habits)
        self.logins = self.renewals = self.given_back = 0
        self._sessions: dict[str, _Session] = {}

    @property
    def release(self) -> tuple[int, ...]:
        """The numbers of the version."""
        return tuple(int(number) for number in re.findall(r"\d+", self.habits.version)[:2])

    def _log_in(self, request: Request, path: str, form: Mapping[str, Any]) -> Response:
        match path:
            case "/api/v1/oauth/token" | "/api/oauth/token" if self._has_oauth(new="/v1/" in path):
                return self._client_token(form)
            case "/api/v1/auth/token":
                return self._user_token(request)
            case "/api/v1/auth/keep-alive":
                self._end(request)
                self.renewals += 1
                return self._user_answer()
            case "/api/v1/auth/invalidate-token":
                self._end(request)
                self.given_back += 1
                return Response(status_code=204)
        raise Refusal(_NOT_FOUND)

    def _has_oauth(self, *, new: bool) -> bool:
        paths, release = self.habits.oauth_path, self.release
        if paths == "auto":
            return release >= (_NEW_OAUTH_SINCE if new else _OAUTH_SINCE)
        return paths in {"both", "new" if new else "legacy"}

    def _client_token(self, form: Mapping[str, Any]) -> Response:
        habits = self.habits
        if form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != (habits.client_id, habits.client_secret):
            return JSONResponse({"error": "invalid_client", "error_description": "unknown client"}, 400)
        self.logins += 1
        answer = {
            "access_token": self._new_token(user=False),
            "token_type": "Bearer",
            "expires_in": int(habits.token_lifetime),
            "scope": "api-role:1 api-role:2",
        }
        return self._with_cookie(JSONResponse(answer))

    def _user_token(self, request: Request) -> Response:
        habits = self.habits
        given = basic_credentials(request.headers.get("authorization", ""))
        if not habits.basic or given != (habits.username, habits.password):
            raise Refusal(_UNAUTHORISED)  # both alike, and without a word about the cause
        if habits.password_expired:
            raise Refusal(_UNAUTHORISED, "USER_EXPIRED_PASSWORD")
        self.logins += 1
        return self._user_answer()

    def _user_answer(self) -> Response:
        ends = datetime.now(UTC) + timedelta(seconds=self.habits.token_lifetime)
        answer = {"token": self._new_token(user=True), "expires": f"{ends:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"}
        return self._with_cookie(JSONResponse(answer))

    def _new_token(self, *, user: bool) -> str:
        token = secrets.token_urlsafe(24)
        ends = time.monotonic() + self.habits.token_lifetime + self.habits.token_grace
        self._sessions[token] = _Session(ends, self.habits.token_uses, user)
        return token

    def _with_cookie(self, response: Response) -> Response:
        response.set_cookie(_NODE, "node-1", path="/", httponly=True)
        return response

    def _authorise(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        session = self._sessions.get(token) if scheme == "Bearer" else None
        known = session is not None and session.ends > time.monotonic() and session.uses != 0
        if session is None or not known or (self.habits.sticky and _NODE not in request.cookies):
            raise Refusal(_UNAUTHORISED, "INVALID_TOKEN")
        if session.uses is not None:
            session.uses -= 1
        return token

    def _end(self, request: Request) -> None:
        token = self._authorise(request)
        if not self._sessions.pop(token).user:
            raise Refusal(_UNAUTHORISED, "INVALID_TOKEN")  # an API client's token cannot be prolonged
