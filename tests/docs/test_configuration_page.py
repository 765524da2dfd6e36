"""``docs/configuration.md`` is made from the settings types."""

import re

import msgspec
import pytest
from configuration_page import (
    ESTATE_PAGE,
    ESTATE_TABLES,
    MARK,
    PAGE,
    TABLES,
    documented,
    page_with_tables,
)

TEXT = PAGE.read_text("utf-8")


def test_the_tables_are_those_of_the_types() -> None:
    """Every key, with its type, default and meaning; run ``configuration_page.py`` to renew."""
    assert page_with_tables(TEXT) == TEXT
    assert {found[1] for found in MARK.finditer(TEXT)} == set(TABLES)


@pytest.mark.parametrize("one", TABLES.values(), ids=lambda one: one.__name__)
def test_a_limit_or_a_key_says_what_it_means(one: type[msgspec.Struct]) -> None:
    """Only names, ids and the tables of other types may go without a word."""
    plain = re.compile(
        r"(.*_id|name|mcc|currency_code|url|kinds|banks|routes|merchants|profile.*)$"
    )
    tables = {name.strip("[]") for name in TABLES}
    silent = set(one.__struct_fields__) - set(documented(one))
    assert {name for name in silent if not plain.match(name) and name not in tables} == set()


def test_the_estate_page_has_every_key_of_an_estate() -> None:
    """With its type, default and meaning; run ``configuration_page.py`` to renew."""
    text = ESTATE_PAGE.read_text("utf-8")
    assert page_with_tables(text) == text
    assert {found[1] for found in MARK.finditer(text)} == set(ESTATE_TABLES)
    silent = {
        (one.__name__, name)
        for one in ESTATE_TABLES.values()
        for name in set(one.__struct_fields__) - set(documented(one))
    }
    assert silent == set()
