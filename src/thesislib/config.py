"""Frozen experiment configurations: profiles, overrides that are checked, and a stable digest."""

import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self

PROFILES = ("smoke", "quick", "full")


class ConfigError(ValueError):
    """A configuration that cannot run: an unknown key, a badly typed value, or a value out of range."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """What an experiment needs to know before it runs; each chapter derives one and names its profiles.

    ``profiles`` maps smoke, quick and full to the values that differ from the field defaults.
    """

    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    profile_name: str = "quick"
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            annotation = typing.get_type_hints(type(self))[field.name]
            object.__setattr__(self, field.name, _checked(field.name, getattr(self, field.name), annotation))
        if self.profile_name not in PROFILES:
            raise ConfigError(unknown("profile", self.profile_name, PROFILES))
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}")

    @classmethod
    def profile(cls, name: str, **overrides: Any) -> Self:
        """Return the named profile with overrides; raise ConfigError on an unknown name, key or type."""
        if name not in PROFILES:
            raise ConfigError(unknown("profile", name, PROFILES))
        keys = [field.name for field in dataclasses.fields(cls) if field.name != "profile_name"]
        for key in overrides:
            if key not in keys:
                raise ConfigError(unknown("parameter", key, keys))
        return cls(**{**cls.profiles[name], **overrides, "profile_name": name})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def digest(self) -> str:
        """Return eight hex digits that change when any field but the profile's name does."""
        return digest({k: v for k, v in self.as_dict().items() if k != "profile_name"})


def digest(values: Mapping[str, Any]) -> str:
    """Return the first eight hex digits of the sha256 of a mapping, keys sorted."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def unknown(what: str, name: object, known: typing.Iterable[str]) -> str:
    """Return a message about a name that is not known, with the closest one that is."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {name!r}.{hint} Known: {', '.join(known)}"


def _checked(name: str, value: Any, annotation: Any) -> Any:
    """Return the value as its annotated type (an int serves as a float, a list as a tuple); else ConfigError."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (annotation,) = [a for a in arguments if a is not type(None)]
        return _checked(name, value, annotation)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_checked(f"{name}[{i}]", v, arguments[0]) for i, v in enumerate(value))
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ConfigError(unknown(f"value for {name}", value, arguments))
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(annotation, type) and isinstance(value, annotation):
        if not (annotation is int and isinstance(value, bool)):
            return value
    wanted = getattr(annotation, "__name__", str(annotation))
    raise ConfigError(f"{name} must be {wanted}, got {value!r} ({type(value).__name__})")
