import dataclasses
import importlib
import pkgutil
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib import chapters
from thesislib.config import PROFILES, ConfigError, ExperimentConfig, digest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(ExperimentConfig):
    epochs: int = 10
    rate: float = 0.1
    shuffled: bool = True
    source: Literal["invented", "real"] = "invented"
    cap: int | None = None
    shares: tuple[float, ...] = ()

    profiles: ClassVar = {"smoke": {"epochs": 1}, "quick": {}, "full": {"source": "real", "cap": 5}}


def chapter_configs() -> list[type[ExperimentConfig]]:
    names = [module.name for module in pkgutil.iter_modules(chapters.__path__)]
    modules = [importlib.import_module(f"{chapters.__name__}.{name}") for name in names]
    return [module.Config for module in modules if hasattr(module, "Config")]


def test_a_profile_is_the_defaults_with_its_own_values():
    assert Sample.profile("quick") == Sample(profile_name="quick")
    assert Sample.profile("smoke") == Sample(profile_name="smoke", epochs=1)
    assert Sample.profile("full") == Sample(profile_name="full", source="real", cap=5)


def test_an_override_wins_over_the_profile():
    assert Sample.profile("full", cap=None, epochs=3) == Sample(profile_name="full", source="real", epochs=3)


@pytest.mark.parametrize("name, close", [("epoch", "epochs"), ("Rate", "rate"), ("sede", "seed")])
def test_an_unknown_parameter_names_the_closest(name, close):
    with pytest.raises(ConfigError, match=f"Did you mean '{close}'.*Known: .*shares"):
        Sample.profile("smoke", **{name: 1})


def test_nothing_close_means_no_guess():
    with pytest.raises(ConfigError, match="unknown parameter 'zzz'. Known: seed, epochs") as caught:
        Sample.profile("smoke", zzz=1)
    assert "Did you mean" not in str(caught.value)


def test_the_profile_name_is_no_parameter():
    with pytest.raises(ConfigError, match="unknown parameter 'profile_name'"):
        Sample.profile("smoke", profile_name="full")


@pytest.mark.parametrize("make", [Sample.profile, lambda name: Sample(profile_name=name)])
def test_an_unknown_profile_names_the_closest(make):
    with pytest.raises(ConfigError, match="unknown profile 'fulll'. Did you mean 'full'"):
        make("fulll")


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("epochs", "10", r"epochs must be int, got '10' \(str\)"),
        ("epochs", 2.5, r"epochs must be int, got 2.5 \(float\)"),
        ("epochs", True, r"epochs must be int, got True \(bool\)"),
        ("epochs", None, r"epochs must be int, got None"),
        ("rate", "0.1", r"rate must be float, got '0.1'"),
        ("rate", False, r"rate must be float, got False \(bool\)"),
        ("shuffled", 1, r"shuffled must be bool, got 1 \(int\)"),
        ("shuffled", "yes", "shuffled must be bool"),
        ("cap", "5", "cap must be int"),
        ("cap", True, "cap must be int"),
        ("shares", 0.5, "shares must be"),
        ("shares", [0.5, "all"], r"shares\[1\] must be float, got 'all'"),
        ("source", "rael", "unknown value for source 'rael'. Did you mean 'real'"),
        ("seed", -1, "seed must not be negative, got -1"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value, said):
    with pytest.raises(ConfigError, match=said):
        Sample.profile("smoke", **{name: value})


def test_values_become_what_they_are_declared_as():
    config = Sample(rate=1, shares=[1, 0.5], cap=None)
    assert isinstance(config.rate, float) and config.rate == 1.0
    assert config.shares == (1.0, 0.5) and all(isinstance(share, float) for share in config.shares)
    assert config.cap is None and Sample(cap=3).cap == 3
    assert Sample(source="real").source == "real"


samples = st.builds(
    Sample,
    profile_name=st.sampled_from(PROFILES),
    seed=st.integers(0, 9),
    epochs=st.integers(),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    shuffled=st.booleans(),
    source=st.sampled_from(["invented", "real"]),
    cap=st.none() | st.integers(),
    shares=st.lists(st.floats(0, 1), max_size=3),
)


@given(samples)
def test_a_configuration_survives_json(config):
    assert Sample(**config.as_dict()) == config


@given(samples, samples)
def test_the_digest_ignores_the_profile_name_and_nothing_else(a, b):
    same = dataclasses.replace(a, profile_name="full") == dataclasses.replace(b, profile_name="full")
    assert (a.digest() == b.digest()) == same
    for name in PROFILES:
        assert dataclasses.replace(a, profile_name=name).digest() == a.digest()


def test_the_digest_is_eight_hex_digits_whatever_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    assert digest({"a": 1}) == "f9d86028"  # printf '{"a": 1}' | sha256sum


def test_a_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sample().epochs = 3


def test_there_is_a_chapter_to_configure():
    assert "learning_to_compare" in [config.__module__.rsplit(".", 1)[1] for config in chapter_configs()]


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("config", chapter_configs(), ids=lambda config: config.__module__)
def test_every_chapter_has_every_profile(config, name):
    made = config.profile(name, seed=3)
    assert (made.profile_name, made.seed) == (name, 3)
    assert config(**made.as_dict()) == made
    assert set(config.profiles) == set(PROFILES)
