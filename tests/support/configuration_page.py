"""The tables of two pages of settings, made from the types; run it to write them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as types

from acquirer.config import business, downloads, estate
from acquirer.config.tls import TlsSettings
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.routing.banks.choice import RouteRule
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.routing.settings import BankSettings, LinkSettings
from acquirer.switch import settings as switch

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
ESTATE_PAGE = PAGE.with_name("estate.md")
# The table's heading in the page → its type.
TABLES: dict[str, type[msgspec.Struct]] = {
    "top level": switch.SwitchSettings,
    "[[operators]]": switch.OperatorSettings,
    "[business_day]": switch.BusinessDaySettings,
    "[listen]": switch.ListenSettings,
    "[listen.tls], [hsm.tls], tls of a link": TlsSettings,
    "[database]": switch.DatabaseSettings,
    "[hsm]": switch.HsmSettings,
    "[limits]": switch.LimitSettings,
    "[saf]": switch.SafSettings,
    "[[stand_in]]": StandInRule,
    "[[limit]]": business.LimitRule,
    "[orders]": business.OrderSettings,
    "[[banks]], [[order_hosts]]": BankSettings,
    "[[banks.links]]": LinkSettings,
    "[[routes]]": RouteRule,
    "[[merchants]]": business.MerchantSettings,
    "[[profiles]]": business.ProfileSettings,
    "[[terminals]]": business.TerminalSettings,
    "[[couriers]]": business.CourierSettings,
    "[[order_types]]": business.OrderTypeSettings,
    "[[instalment_plans]]": business.InstalmentPlanSettings,
    "[[parameters]]": downloads.ParameterSettings,
    "[[ca_keys]]": downloads.CaKeySettings,
    "[[ic_parameters]]": downloads.IcParameterSettings,
    "[[blacklist]]": downloads.BlacklistSettings,
    "[[order_systems]]": OrderSystemSettings,
}
ESTATE_TABLES: dict[str, type[msgspec.Struct]] = {
    "estate": estate.Estate,
    "estate [[terminals]]": estate.Terminal,
    "estate [[profiles]]": estate.Profile,
    "estate [[cards]]": estate.Card,
    "estate [[couriers]]": estate.Courier,
    "estate [[merchants]]": estate.Merchant,
    "estate [[banks]]": estate.Bank,
    "estate [[orders]]": estate.Order,
    "estate [[order_types]]": estate.OrderType,
    "estate [[items]]": estate.Item,
    "estate [[operators]]": estate.Operator,
    "estate [business_day]": estate.BusinessDay,
}
MARK = re.compile(r"<!-- table (.+?) -->\n(.*?)<!-- /table -->", re.S)


def documented(one: type[Any]) -> dict[str, str]:
    """Attribute → its text on one line, from the docstring's ``Attributes:``."""
    _, _, text = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        if match := re.match(r"    ([a-z][a-z_0-9, ]*): (.*)", line):
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def _kind(kind: types.Type) -> str:
    """A type in a reader's words."""
    if isinstance(kind, types.UnionType):
        return " or ".join(_kind(one) for one in kind.types if not isinstance(one, types.NoneType))
    if isinstance(kind, types.IntType | types.FloatType):
        name = "integer" if isinstance(kind, types.IntType) else "number"
        above = f" ≥ {kind.ge:g}" if kind.ge is not None else ""
        above = f" > {kind.gt:g}" if kind.gt is not None else above
        return name + above + (f", ≤ {kind.le:g}" if kind.le is not None else "")
    if isinstance(kind, types.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values if value)
    if isinstance(kind, types.StrType):
        return "text" if kind.pattern is None else f"text `{kind.pattern}`"
    if isinstance(kind, types.ListType | types.VarTupleType):
        return f"list of {_kind(kind.item_type)}"
    if isinstance(kind, types.EnumType):
        return f"a `{kind.cls.__name__}`"
    if isinstance(kind, types.StructType):
        return "table"
    return "true or false" if isinstance(kind, types.BoolType) else ""


def _default(field: types.Field) -> str:
    if field.required:
        return "**needed**"
    value = field.default if field.default_factory is msgspec.NODEFAULT else ()
    if isinstance(value, tuple) and value:
        return "`" + ", ".join(map(str, value)) + "`"
    if value is None or value == "" or value == () or isinstance(value, msgspec.Struct):
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(one: type[msgspec.Struct]) -> str:
    """The rows of one type."""
    texts = documented(one)
    info = types.type_info(one)
    assert isinstance(info, types.StructType)
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for field in info.fields:
        if field.name.startswith("_"):
            continue
        kind = _kind(field.type).replace("|", "\\|")
        meaning = texts.get(field.name, "").rstrip(".").replace("``", "`")
        rows.append(f"| `{field.encode_name}` | {kind} | {_default(field)} | {meaning} |")
    return "\n".join(rows) + "\n"


def page_with_tables(text: str) -> str:
    """The page with its tables made anew."""
    return MARK.sub(
        lambda found: (
            f"<!-- table {found[1]} -->\n{table((TABLES | ESTATE_TABLES)[found[1]])}<!-- /table -->"
        ),
        text,
    )


if __name__ == "__main__":
    for page in (PAGE, ESTATE_PAGE):
        page.write_text(page_with_tables(page.read_text("utf-8")), "utf-8")
