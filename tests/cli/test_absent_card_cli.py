"""Instalments, codes, orders by telephone and downloads, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from estate_process import acquirer, terminal, up


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running estate whose first terminal has signed on."""
    data = tmp_path_factory.mktemp("sales") / "data"
    with up(data):
        assert "approved" == terminal(data, "sign-on")["outcome"]
        yield data


def said(result: dict[str, Any]) -> tuple[str, str]:
    """What a transaction came to."""
    return result["kind"], result["response_code"]


def test_an_instalment_and_its_void(shop: Path) -> None:
    """The terminal shows what is repaid; another number of periods is refused (57)."""
    plan = ("--amount", "600.00", "--card", "alice", "--plan", "P06", "--periods")
    paid = terminal(shop, "instalment", *plan, "6")
    assert ("instalment", "00") == said(paid)
    repaid = {"first_minor": 12_400, "fee_minor": 2_400, "is_spread": False}
    assert repaid == paid["repayment"]
    assert ("instalment", "57") == said(terminal(shop, "instalment", *plan, "7"))
    assert ("instalment_void", "00") == said(terminal(shop, "instalment-void"))


def test_a_code_pays_and_is_given_back(shop: Path) -> None:
    """The bank prints 19 digits; they pay once; the refund needs no card."""
    made = acquirer("bank-sim", "qr", "alice", "--data", str(shop))
    code = made.stdout.decode().strip()
    assert (0, 19, "622588") == (made.returncode, len(code), code[:6])
    assert ("qr", "00") == said(terminal(shop, "qr", code, "--amount", "12.50"))
    assert ("qr", "14") == said(terminal(shop, "qr", code, "--amount", "12.50"))
    assert ("refund", "00") == said(terminal(shop, "refund", "--amount", "2.50"))
    nobody = acquirer("bank-sim", "qr", "nobody", "--data", str(shop))
    assert (2, True) == (nobody.returncode, b"no card 'nobody'" in nobody.stderr)


def test_an_order_by_telephone(shop: Path) -> None:
    """The card's own CVN2 is told; another is refused (05); void and refund are of its kind."""
    order = ("moto", "--amount", "9.00", "--card", "alice")
    assert ("moto", "05") == said(terminal(shop, *order, "--cvn2", "000"))
    assert ("moto", "00") == said(terminal(shop, *order))
    assert ("moto_void", "00") == said(terminal(shop, "void"))
    assert ("moto", "00") == said(terminal(shop, *order))
    back = terminal(shop, "refund", "--amount", "4.00", "--card", "alice")
    assert ("moto_refund", "00") == said(back)


def test_downloads(shop: Path, tmp_path: Path) -> None:
    """A file that is wrong changes nothing (2); a terminal that is asked fetches by itself."""
    file = tmp_path / "parameters.toml"
    file.write_text("time_out_s = 0\n")
    load = ("downloads", "load", "parameters", str(file), "--data", str(shop))
    wrong = acquirer(*load)
    assert (2, True) == (wrong.returncode, b"time_out_s" in wrong.stderr)
    file.write_text("time_out_s = 45\n")
    done = acquirer(*load)
    assert 0 == done.returncode, done.stderr
    assert 1 == terminal(shop, "echo")["demand"]
    assert 0 == terminal(shop, "echo")["demand"]
    (fetched,) = terminal(shop, "download", "parameters")["fetched"]
    assert b"1245" == bytes.fromhex(fetched)[4:8]
    tokens = tmp_path / "lost.toml"
    tokens.write_text('tokens = ["0123456789abcdef"]\n')
    done = acquirer("downloads", "load", "blacklist", str(tokens), "--data", str(shop))
    assert 0 == done.returncode, done.stderr
    assert ["0123456789ABCDEF"] == terminal(shop, "download", "blacklist")["fetched"]
    assert [] == terminal(shop, "download", "ca_keys")["fetched"]
