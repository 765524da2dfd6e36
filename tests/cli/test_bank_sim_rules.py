"""The running bank simulator's rules change by its owner's word, and by nobody else's."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from estate_process import acquirer, terminal, up

from acquirer.hosts_sim.bank.control import (
    CONTROL,
    LINE_BYTES_MAX,
    RULES_MAX,
    changed,
    request_of,
)
from acquirer.hosts_sim.bank.rules import RuleBook
from acquirer.hosts_sim.bank.settings import Rule


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running estate whose first terminal has signed on."""
    data = tmp_path_factory.mktemp("rules") / "data"
    with up(data):
        assert "approved" == terminal(data, "sign-on")["outcome"]
        yield data


def rules(data: Path, *arguments: str) -> list[dict[str, Any]]:
    """What a command of the group leaves."""
    ran = acquirer("bank-sim", "rules", *arguments, "--data", str(data), "--json")
    assert 0 == ran.returncode, ran.stderr
    found: list[dict[str, Any]] = msgspec.json.decode(ran.stdout)["rules"]
    return found


def answer(book: RuleBook, token: str, line: bytes) -> dict[str, Any]:
    """What one line does to the rules of a simulator with this token."""
    return changed(book, request_of(token, line))


def code(data: Path, amount: str) -> str:
    """The response code of a sale."""
    sold = terminal(data, "sale", "--amount", amount, "--card", "alice")
    return str(sold["response_code"])


def test_a_rule_comes_and_goes_while_the_bank_runs(shop: Path) -> None:
    """It takes the next sale of its amount, so many times, and none once it is cleared."""
    before = rules(shop, "list")
    assert 3 == len(before)
    assert "00" == code(shop, "12.51")
    more = rules(shop, "add", "--response-code", "51", "--amount-minor", "1251", "--times", "2")
    assert (4, 2, "51") == (len(more), more[0]["left"], more[0]["rule"]["response_code"])
    assert ("51", "00") == (code(shop, "12.51"), code(shop, "12.52"))
    assert 1 == rules(shop, "list")[0]["left"]
    assert before == rules(shop, "clear", "1")
    assert "00" == code(shop, "12.51")
    shown = acquirer("bank-sim", "rules", "list", "--data", str(shop)).stdout.decode()
    assert "amount_minor=6668" in shown
    assert [] == rules(shop, "clear")


def test_only_the_owner_can_reach_it(shop: Path) -> None:
    """The file with address and token is its owner's alone, and another token changes nothing."""
    assert 0o600 == stat.S_IMODE((shop / CONTROL).stat().st_mode)
    book = RuleBook([Rule(fault="drop")], Random(1))
    wrong = json.dumps({"token": "guess", "do": "clear"}).encode()
    assert "another token" in answer(book, "right", wrong)["error"]
    assert 1 == len(book)


def test_wrong_rules_are_refused_with_the_reason(shop: Path) -> None:
    """Neither code nor fault, a fault that is none, a rule that is not there, no simulator."""
    for arguments, words in (
        (("add",), b"needs response_code, fault, approved_minor or script"),
        (("add", "--fault", "explode"), b"a fault is one of drop"),
        (("add", "--response-code", "5"), b"no such rule"),
        (("clear", "99"), b"there is no rule 99"),
    ):
        ran = acquirer("bank-sim", "rules", *arguments, "--data", str(shop))
        assert (2, True) == (ran.returncode, words in ran.stderr), ran.stderr
    ran = acquirer("bank-sim", "rules", "list", "--data", str(shop.parent))
    assert (2, True) == (ran.returncode, b"does a bank simulator run here?" in ran.stderr)


def test_what_is_asked_is_bounded() -> None:
    """Garbage, a long line and too many rules change nothing."""
    book = RuleBook([], Random(1))

    def asked(**request: Any) -> dict[str, Any]:
        return answer(book, "right", json.dumps({"token": "right", **request}).encode())

    for line in (b"", b"{", b"[]", b'{"token":1}', b"[" * 4_000, b"\xff"):
        assert "error" in answer(book, "right", line)
    assert "more than" in answer(book, "right", b" " * (LINE_BYTES_MAX + 1))["error"]
    for _ in range(RULES_MAX):
        assert "rules" in asked(do="add", rule={"fault": "drop"})
    assert "clear some" in asked(do="add", rule={"fault": "drop"})["error"]
    assert RULES_MAX == len(book)


def test_a_new_rule_counts_first() -> None:
    """It is put before the others, and its number is 1."""
    book = RuleBook([Rule(response_code="05")], Random(1))
    book.add(Rule(response_code="51", times=1))
    assert ["51", "05"] == [one["rule"].response_code for one in book.listed()]
    book.clear(2)
    assert ["51"] == [one["rule"].response_code for one in book.listed()]
