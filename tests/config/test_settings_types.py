"""What the types of settings document is there, and numbers and secrets in them are constrained."""

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest

from acquirer.config import estate
from acquirer.config.estate import Courier, Merchant
from acquirer.config.loading import ConfigError, load
from acquirer.hosts_sim.bank import settings as bank_sim
from acquirer.routing import settings as banks
from acquirer.routing.banks import choice
from acquirer.routing.orders import settings as order_systems
from acquirer.switch import settings as switch

NUMBER = re.compile(r"_(minor|points|minutes|max|min|s)$|^(window|at_once|connections|stock)$")


def _types(module: ModuleType) -> list[type[msgspec.Struct]]:
    found = [value for value in vars(module).values() if inspect.isclass(value)]
    return [
        one
        for one in found
        if issubclass(one, msgspec.Struct)
        and one.__module__ == module.__name__
        and one not in (choice.RouteFacts, choice.Route)
    ]


TYPES = [
    one
    for module in (estate, switch, banks, choice, order_systems, bank_sim)
    for one in _types(module)
]


def _documented(one: type[Any]) -> dict[str, str]:
    """Attribute → its text, from the docstring's ``Attributes:``."""
    _, _, text = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := re.match(r"    ([a-z][a-z_0-9, ]*): (.*)", line):
            found |= dict.fromkeys(match[1].split(", "), match[2])
    return found


@pytest.mark.parametrize("one", TYPES, ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_what_is_documented_is_there(one: type[msgspec.Struct]) -> None:
    """A docstring names the type's own attributes, in words and not in an annotation."""
    attributes = _documented(one)
    strangers = [name for name in attributes if not hasattr(one, name)]
    annotations = [name for name, text in attributes.items() if re.match(r"[A-Z]\w+(\[.*)?$", text)]
    assert ([], []) == (strangers, annotations)


def _numbers(
    kind: msgspec.inspect.Type,
) -> list[msgspec.inspect.IntType | msgspec.inspect.FloatType]:
    if isinstance(kind, msgspec.inspect.UnionType):
        return [number for part in kind.types for number in _numbers(part)]
    if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        return [kind]
    return []


@pytest.mark.parametrize("one", TYPES, ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_amounts_limits_and_times_have_bounds(one: type[msgspec.Struct]) -> None:
    """No amount, rate, limit or time of a configuration may be below zero."""
    info = msgspec.inspect.type_info(one)
    assert isinstance(info, msgspec.inspect.StructType)
    boundless = [
        field.name
        for field in info.fields
        if NUMBER.search(field.name)
        for number in _numbers(field.type)
        if number.ge is None and number.gt is None
    ]
    assert boundless == []


@pytest.mark.parametrize(
    ("type_", "field", "value"),
    [
        (Merchant, "mdr_basis_points", 999_999),
        (Merchant, "cod_fixed_minor", -1),
        (Courier, "password", "abc"),
        (Courier, "cash_limit_minor", -1),
    ],
)
def test_an_estate_refuses_what_cannot_be(
    type_: type[msgspec.Struct], field: str, value: object
) -> None:
    """A fee above the whole amount and a password that is no number are refused."""
    wholes: dict[type[msgspec.Struct], dict[str, object]] = {
        Merchant: {
            "merchant_id": "M", "name": "M", "mcc": "5999", "mdr_basis_points": 60,
            "event_secret": "",
        },
        Courier: {"courier_id": "C", "merchant_id": "M", "password": "1234"},
    }  # fmt: skip
    whole = wholes[type_]
    assert isinstance(msgspec.convert(whole, type_), type_)
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({**whole, field: value}, type_)


def test_the_place_is_named(tmp_path: Any) -> None:
    """A refused estate names the file and the key."""
    file = tmp_path / "estate.toml"
    text = estate.demo_estate_path().read_text("utf-8")
    file.write_text(text.replace("mdr_basis_points = ", "mdr_basis_points = 9999", 1), "utf-8")
    with pytest.raises(ConfigError, match=r"mdr_basis_points"):
        load(file, estate.Estate)


def _patterns(schema: Any) -> Iterator[str]:
    """All patterns of a JSON schema, however deep."""
    if isinstance(schema, dict):
        yield from (text for text in [schema.get("pattern")] if isinstance(text, str))
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from _patterns(part)


@pytest.mark.parametrize("one", TYPES, ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_what_a_text_must_match_takes_no_newline_behind_it(one: type[msgspec.Struct]) -> None:
    r"""``$`` matches before a newline at the end, ``\Z`` at the end alone."""
    assert [] == [text for text in _patterns(msgspec.json.schema(one)) if text.endswith("$")]
