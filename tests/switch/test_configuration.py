"""Business configuration as documents, faults, versions and differences: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from small_configuration import MERCHANT, ROUTE, SECRET, SETTINGS, SYSTEM, TERMINAL, WHOLE

from acquirer.config.business import TerminalSettings
from acquirer.config.loading import ConfigError
from acquirer.ledger.store.configuration import ConfigVersion, StoredConfiguration
from acquirer.routing.banks.choice import RouteRule
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.switch.configuration.changes import Author, configuration_of, versions_for
from acquirer.switch.configuration.checks import check, configuration_faults, process_faults
from acquirer.switch.configuration.documents import (
    Difference,
    differences,
    read_document,
    write_document,
)
from acquirer.switch.configuration.kinds import KINDS, Configuration, plain, shown

AUTHOR = Author("li", "a reason")
KIND = KINDS["merchant"]


def stored(versions: tuple[ConfigVersion, ...], epoch: int = 1) -> StoredConfiguration:
    """What the books hold after these."""
    return StoredConfiguration(epoch, versions)


def first(configuration: Configuration = WHOLE) -> tuple[ConfigVersion, ...]:
    """The versions of a first import."""
    wanted = {kind: configuration.of_kind(kind) for kind in KINDS.values()}
    return versions_for(StoredConfiguration(0, ()), wanted, AUTHOR, 1_000)


def test_what_is_written_out_is_read_in_again() -> None:
    """All kinds, by their names, with what is by default left out."""
    document = write_document(WHOLE)
    assert list(KINDS) == list(document)
    assert {"bank": "demo", "bins": ["622588"]} == document["route"][0]
    read = read_document(document)
    assert () == read.faults
    assert WHOLE == Configuration().having(read.bodies)


def test_the_switchs_file_is_a_document() -> None:
    """By its own names of tables; what a process needs to start is passed over."""
    read = read_document(
        {"banks": [], "listen": {}, "merchants": [plain(MERCHANT)], "stand_in": []}
    )
    assert () == read.faults
    assert {KIND: (MERCHANT,), KINDS["stand_in"]: ()} == read.bodies


@pytest.mark.parametrize(
    ("document", "kinds", "places"),
    [
        ({"merchnat": []}, (), ["merchnat"]),
        ({"merchant": []}, ("shop",), ["shop"]),
        ({"merchant": {}}, (), ["merchant"]),
        ({"merchant": [], "merchants": []}, (), ["merchants"]),
        ({"merchant": []}, ("route",), ["route"]),
        (
            {"merchant": [plain(MERCHANT) | {"mdr_basis_points": 10_001}, {"name": 1}]},
            (),
            ["merchant[0].mdr_basis_points", "merchant[1].name"],
        ),
        ({"terminals": [plain(TERMINAL) | {"pin": "1"}]}, (), ["terminals[0].pin"]),
    ],
)
def test_every_fault_of_a_document_is_told(
    document: dict[str, Any], kinds: tuple[str, ...], places: list[str]
) -> None:
    """With its place in the document."""
    assert places == [fault.place for fault in read_document(document, kinds).faults]


def test_only_the_kinds_that_are_asked_for_are_taken() -> None:
    """What else the document holds is not even read."""
    read = read_document({"merchant": [plain(MERCHANT)], "route": ["nonsense"]}, ("merchant",))
    assert ((), {KIND}) == (read.faults, set(read.bodies))


WRONG = Configuration(
    merchants=(
        MERCHANT,
        msgspec.structs.replace(
            MERCHANT, event_secret="whsec_x", currency_code="999", order_text="{{"
        ),
    ),
    terminals=(
        TERMINAL,
        TerminalSettings("100000022", "nobody", "U1", "none"),
    ),
    routes=(ROUTE, RouteRule("elsewhere"), RouteRule("demo", bins=["x"])),
    order_systems=(OrderSystemSettings("hosted", host="away"),),
)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """In the document by its index, elsewhere by its key."""
    names = {KINDS["terminal"]: "terminal", KINDS["route"]: "routes"}
    faults = configuration_faults(SETTINGS, WRONG, names)
    assert [
        "merchant 898110053310001: merchant_id",
        "terminal[1].merchant_id",
        "terminal[1].profile",
        "order_system hosted: host",
        "routes[1].bank",
        "routes[2].bins",
        "merchant 898110053310001: event_secret",
        "merchant 898110053310001: currency_code",
        "merchant 898110053310001: order_text",
        "terminal[1].terminal_id",
    ] == [fault.place for fault in faults]
    assert [] == configuration_faults(SETTINGS, WHOLE, {})


def test_a_start_is_refused_with_all_of_it() -> None:
    """The first as the error's key, the others in its reason."""
    settings = msgspec.structs.replace(
        SETTINGS, terminals=[*WRONG.terminals], routes=[*WRONG.routes]
    )
    with pytest.raises(ConfigError) as caught:
        check(settings, "switch.toml")
    assert "terminals[1].merchant_id" == caught.value.key
    assert "also routes[1].bank: no bank 'elsewhere'" in caught.value.reason


def test_the_first_import_is_version_one_of_each() -> None:
    """Named by key or place; the books give back what went in."""
    versions = first()
    assert [
        ("merchant", "898110053310001", 1, 1, None),
        ("terminal", "10000001", 1, 1, None),
        ("route", "1", 1, 1, None),
        ("order_system", "orders", 1, 1, None),
    ] == [(one.kind, one.key, one.version, one.epoch, one.replaces) for one in versions]
    assert (WHOLE, []) == configuration_of(stored(versions))


def test_only_what_differs_gets_a_version() -> None:
    """Another body, a new one, one that is gone; the same again changes nothing."""
    before = stored(first())
    dearer = msgspec.structs.replace(MERCHANT, mdr_basis_points=70)
    second = msgspec.structs.replace(MERCHANT, merchant_id="898110053310002")
    wanted = {KIND: (dearer, second), KINDS["terminal"]: ()}
    made = versions_for(before, wanted, AUTHOR, 2_000)
    assert [
        ("merchant", "898110053310001", 2, 1),
        ("merchant", "898110053310002", 1, None),
        ("terminal", "10000001", 2, 1),
    ] == [(one.kind, one.key, one.version, one.replaces) for one in made]
    assert {(2, 2_000, "li", "a reason")} == {
        (one.epoch, one.valid_from, one.made_by, one.reason) for one in made
    }
    newest = {(one.kind, one.key): one for one in (*before.versions, *made)}
    after, faults = configuration_of(stored(tuple(newest.values()), epoch=2))
    assert ((dearer, second), (), []) == (after.merchants, after.terminals, faults)
    again = versions_for(stored(tuple(newest.values()), 2), wanted, AUTHOR, 3_000)
    assert () == again


def test_what_comes_back_goes_on_counting() -> None:
    """A key that was taken away keeps its history."""
    gone = replace(first()[1], version=2, epoch=2, body=None, replaces=1)
    wanted = {KINDS["terminal"]: (TERMINAL,)}
    (back,) = versions_for(stored((gone,), 2), wanted, AUTHOR, 3_000)
    assert (3, 2) == (back.version, back.replaces)


def test_order_counts_where_it_decides() -> None:
    """Two order systems that change places are two new versions; two merchants are none."""
    other = msgspec.structs.replace(SYSTEM, name="other")
    second = msgspec.structs.replace(MERCHANT, merchant_id="898110053310002")
    whole = Configuration(merchants=(MERCHANT, second), order_systems=(SYSTEM, other))
    wanted = {KIND: (second, MERCHANT), KINDS["order_system"]: (other, SYSTEM)}
    made = versions_for(stored(first(whole)), wanted, AUTHOR, 2_000)
    assert [("order_system", "other", 1), ("order_system", "orders", 2)] == [
        (one.kind, one.key, one.place) for one in made
    ]


def test_what_this_program_cannot_read_is_told() -> None:
    """A later version's kind or member, by kind and key."""
    one = first()[0]
    odd = replace(one, kind="lottery", key="L1")
    newer = replace(one, body='{"merchant_id":"x","moon":1}')
    configuration, faults = configuration_of(stored((odd, newer)))
    assert Configuration() == configuration
    assert ["lottery L1", "merchant 898110053310001"] == [fault.place for fault in faults]


def test_differences_hide_secrets() -> None:
    """Members that differ, before and after; that a secret is another is all that shows."""
    dearer = msgspec.structs.replace(MERCHANT, mdr_basis_points=70, event_secret=SECRET[:-4])
    after = msgspec.structs.replace(WHOLE, merchants=(dearer,), terminals=(), routes=(ROUTE, ROUTE))
    found = differences(WHOLE, after, list(KINDS.values()))
    assert ["changed", "removed", "added"] == [one.change for one in found]
    assert (
        Difference(
            "merchant",
            "898110053310001",
            "changed",
            {"mdr_basis_points": (60, 70), "event_secret": ("(set)", "(set)")},
        )
        == found[0]
    )
    assert ("(set)", None) == found[1].members["tmk"]
    assert SECRET not in str(found)
    assert "(set)" == shown(KIND, MERCHANT)["event_secret"]


@pytest.mark.parametrize("within_s", [1e308, float("inf")])
def test_a_time_that_cannot_be_counted_is_a_fault(within_s: float) -> None:
    """It is told where it stands; the checks behind it would not come to their end."""
    read = read_document({"order_type": [{"name": "bill", "cancel_within_s": within_s}]})
    assert ["order_type[0].cancel_within_s"] == [fault.place for fault in read.faults]


@pytest.mark.parametrize(
    ("scheme", "ksn", "reason"),
    [
        ("tmk", "F" * 20, "not derived"),
        ("dukpt_tdes", "", "20 digits"),
        ("dukpt_tdes", "0" * 24, "20 digits"),
        ("dukpt_aes", "0" * 20, "24 digits"),
        ("dukpt_tdes", "FFFF9876543210E00001", "FFFF9876543210E00000"),
        ("dukpt_tdes", "FFFF9876543210E00000", ""),
        ("dukpt_aes", "123456789012345600000000", ""),
    ],
)
def test_a_serial_number_fits_its_profile(scheme: Any, ksn: str, reason: str) -> None:
    """As long as the profile's key scheme has it, its counter zero; none under master keys."""
    profile = msgspec.structs.replace(
        SETTINGS.profiles[0],
        key_scheme=scheme,
        bdk="U0",
        bdk_lmk="02",
        pin_zpk="U0",
        pin_zpk_block="S0",
    )
    settings = msgspec.structs.replace(SETTINGS, profiles=[profile])
    terminal = msgspec.structs.replace(TERMINAL, tmk="", ksn=ksn)
    whole = msgspec.structs.replace(WHOLE, terminals=(terminal,))
    faults = configuration_faults(settings, whole, {KINDS["terminal"]: "terminals"})
    told = [fault.reason for fault in faults if fault.place == "terminals[0].ksn"]
    assert [reason] * bool(reason) == [reason for one in told if reason in one]


def test_a_key_scheme_needs_its_keys() -> None:
    """Each that is missing is told by its place."""
    profile = msgspec.structs.replace(SETTINGS.profiles[0], key_scheme="dukpt_aes")
    settings = msgspec.structs.replace(SETTINGS, profiles=[profile])
    places = [fault.place for fault in process_faults(settings)]
    names = ("bdk", "bdk_lmk", "pin_zpk", "pin_zpk_block")
    assert [f"profiles[0].{name}" for name in names] == places
