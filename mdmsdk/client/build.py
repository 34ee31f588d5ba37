"""From a name and settings to a provider, with errors that a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from mdmsdk.errors import ConfigurationError, PluginError, SecretError
from mdmsdk.registry import installed, load_provider
from mdmsdk.settings import ProviderSettings
from mdmsdk.silence import sealed
from mdmsdk.words import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdmsdk.provider import MdmProvider

M = TypeVar("M", bound=BaseModel)
_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type", "frozen_set_type", "set_type"), "a list is wanted"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is wanted"),
    "string_type": "a text is wanted",
    "string_too_short": "it is too short",
    "timezone_aware": "a date, a time and an offset are wanted, such as 2030-01-31T18:00:00+01:00",
}
"""What pydantic says in words of Python, by its type of error."""


def checked(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """The values as a settings model.

    Raises:
        ConfigurationError: lists everything that is missing, unknown or wrong, but no value.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(text for _, text in explained(error, model))
    raise ConfigurationError(
        f"the {what} settings are not usable: {problems}",
        hint=f"The settings are: {', '.join(model.model_fields)}.",
    )


def problems_of(model: type[BaseModel], values: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """All that is wrong with the values for a settings model: where, and what, but no value."""
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        return explained(error, model)
    return []


def explained(error: ValidationError, model: type[BaseModel]) -> list[tuple[tuple[str, ...], str]]:
    """What is wrong with values for a model, each with where it stands, in words for people and no value."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    places = [problem["loc"] for problem in problems]
    return [
        (tuple(map(str, problem["loc"])), _explain(problem["loc"], problem["type"], problem["msg"], model))
        for problem in problems
        # A list that is too short since its members are wrong says nothing of its own.
        if problem["type"] != "too_short" or not any(_within(one, problem["loc"]) for one in places)
    ]


def _within(place: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    return len(place) > len(other) and place[: len(other)] == other


def _explain(place: tuple[int | str, ...], kind: str, message: str, model: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in place)
    if kind == "missing":
        return f"{name} is missing"
    if kind == "extra_forbidden":
        if advice := getattr(model, "gone", {}).get(name):
            return f"{name} is no setting any more: {advice}"
        places = _places(model)
        return f"{name} is not known{nearest(name, places, places.__getitem__)}"
    message = _WORDS.get(kind) or message.removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


def kinds_of(annotation: Any) -> set[Any]:
    """The types that an annotation mentions."""
    if isinstance(annotation, list):  # the arguments of a Callable
        return set().union(*map(kinds_of, annotation))
    inner = get_args(annotation)
    return set().union(*map(kinds_of, inner)) if inner else {annotation}


def _places(model: type[BaseModel], path: str = "") -> dict[str, str]:
    """The settings by their own names and by their paths, with where they stand."""
    places: dict[str, str] = {}
    for name, field in model.model_fields.items():
        for kind in kinds_of(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                places |= _places(kind, f"{path}{name}.")
    own = {name: f"{path}{name}" for name in model.model_fields}
    return places | {place: place for place in own.values()} | own


def make_provider(name: str, settings: Mapping[str, Any]) -> MdmProvider:
    """The provider of that name with its settings checked.

    Raises:
        ConfigurationError: no such provider, or settings that it cannot use.
    """
    return _made(load_provider(name), settings, name)


def secrets_of(kind: type[ProviderSettings]) -> set[str]:
    """The names of the settings that are secrets."""
    return {name for name, field in kind.model_fields.items() if SecretStr in kinds_of(field.annotation)}


def with_secrets_called(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, where a secret is given as a function with what that gives.

    Raises:
        SecretError: a function fails.
        ConfigurationError: no such provider.
    """
    called = {one for one in secrets_of(load_provider(name).settings_type) if callable(settings.get(one))}
    return {one: _call(one, value) if one in called else value for one, value in settings.items()}


def _call(name: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - the application's own code
        raise SecretError(
            f"the function that is given as {name} failed ({type(error).__name__})",
            hint="It takes nothing, and gives the secret as text.",
        ) from None


def provider_for(settings: ProviderSettings, name: str | None = None) -> MdmProvider:
    """The provider that settings were made for.

    Args:
        settings: checked already, as they are an object of a provider's own class.
        name: the provider; default: the one of the settings' own package that takes this class.

    Raises:
        ConfigurationError: no provider, or more than one, takes them.
    """
    kind = type(settings)
    package = kind.__module__.partition(".")[0]
    names = [name] if name else [one.name for one in installed() if one.target.split(".")[0] == package]
    takers = [one for one in names if load_provider(one).settings_type is kind]
    if len(takers) != 1:
        raise ConfigurationError(
            f"{kind.__name__} are not the settings of {name!r}"
            if name
            else f"the provider of {kind.__name__} is not plain",
            hint="Name the provider and pass the settings that it takes: connect(NAME, SETTINGS).",
        )
    return _made(load_provider(takers[0]), settings, takers[0])


def renewed(
    provider: MdmProvider, secrets: Mapping[str, Any], read: Callable[[], MdmProvider] | None
) -> MdmProvider:
    """A provider of the same class and settings, but for its secrets.

    Args:
        provider: the one before.
        secrets: new values of some of them; without any, all come from `read`.
        read: gives the provider with its secrets read anew.

    Raises:
        ConfigurationError: there are no such secrets, or they cannot be read or used.
    """
    with sealed(values=dict(secrets)):
        if not secrets:
            if read:
                return read()
            raise ConfigurationError(
                "the secrets of this client stand in no configuration",
                hint="Pass the new ones, as refresh_secrets(password=...).",
            )
        return _with_secrets(provider, secrets)


def _with_secrets(provider: MdmProvider, secrets: Mapping[str, Any]) -> MdmProvider:
    kind = type(provider.settings)
    known = secrets_of(kind)
    if unknown := secrets.keys() - known:
        raise ConfigurationError(
            f"no secrets of these settings are {', '.join(sorted(unknown))}",
            hint=f"Those at hand are {', '.join(sorted(known))}. For all else make another client.",
        )
    values = {name: getattr(provider.settings, name) for name in provider.settings.model_fields_set}
    return _made(type(provider), {**values, **secrets}, provider.name)


def _made(
    provider: type[MdmProvider], settings: Mapping[str, Any] | ProviderSettings, name: str
) -> MdmProvider:
    try:
        if isinstance(settings, ProviderSettings):
            return provider(settings)
        return provider(checked(provider.settings_type, settings, repr(name)))
    except ConfigurationError as error:
        error.locate(server=None, provider=name, operation="connect")
        raise
    except Exception as error:
        raise PluginError(
            f"the plugin {name!r} is at fault: its constructor failed ({type(error).__name__})",
            method="__init__",
            provider=name,
            operation="connect",
        ) from error
