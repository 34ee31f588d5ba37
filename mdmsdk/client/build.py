"""From a name and settings to a provider, with errors that a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from mdmsdk.errors import ConfigurationError, PluginError
from mdmsdk.registry import load_provider
from mdmsdk.words import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdmsdk.provider import MdmProvider

M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """The values as a settings model.

    Raises:
        ConfigurationError: lists everything that is missing, unknown or wrong, but no value.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    lines = "; ".join(
        _explain(problem["loc"], problem["type"], problem["msg"], model) for problem in problems
    )
    raise ConfigurationError(
        f"the {what} settings are not usable: {lines}",
        hint=f"The settings are: {', '.join(model.model_fields)}.",
    )


def _explain(place: tuple[int | str, ...], kind: str, message: str, model: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in place)
    if kind == "missing":
        return f"{name} is missing"
    if kind == "extra_forbidden":
        places = _places(model)
        return f"{name} is not known{nearest(name, places, places.__getitem__)}"
    return f"{name or 'all'}: {message.removeprefix('Value error, ')}"


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
    provider = load_provider(name)
    try:
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
