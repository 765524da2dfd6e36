"""``acquirer up`` as a newcomer starts it: real processes, killed and started again."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest
import structlog
import typer
from estate_process import PROGRAM, QUIET, acquirer, children, gone, logged, terminal, up
from limits import HANG_S, comes
from typer.testing import CliRunner

from acquirer.cli.up import register
from acquirer.codecs.pan import mask_digits
from acquirer.config.estate import demo_estate_path, load_estate


def test_killed_and_started_again_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL takes the children along; keys, books and both simulators' books survive."""
    data = tmp_path / "data"
    with up(data) as (process, ready):
        assert {"ready", "pos", "bank", "orders", "http"} == set(ready)
        assert terminal(data, "sign-on")["response_code"] == "00"
        assert (
            terminal(data, "sale", "--amount", "12.50", "--card", "alice")["outcome"] == "approved"
        )
        parts = children(process)
        assert len(parts) == 4
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert all(gone(pid) for pid in parts)
    with up(data) as (process, _):
        assert (
            terminal(data, "sale", "--amount", "7.50", "--card", "alice")["outcome"] == "approved"
        )
        process.terminate()
        assert process.wait(HANG_S) == 0
    journal = msgspec.json.decode(acquirer("journal", "list", "--data", str(data), "--json").stdout)
    bank = msgspec.json.decode(
        acquirer("bank-sim", "transactions", "--data", str(data), "--json").stdout
    )
    ours = {t["rrn"]: t["amount_minor"] for t in journal["transactions"]}
    assert sorted(ours.values()) == [750, 1250]
    assert ours == {t["rrn"]: t["amount_minor"] for t in bank["transactions"]}
    assert acquirer("ledger", "verify", "--data", str(data)).returncode == 0
    _holds_no_secret(tmp_path)


def _holds_no_secret(folder: Path) -> None:
    estate = load_estate()
    secrets = [card.pan for card in estate.cards]
    secrets += [terminal.tmk for terminal in estate.terminals if terminal.tmk]
    secrets += [profile.bdk for profile in estate.profiles if profile.bdk]
    secrets += [bank.zmk for bank in estate.banks]
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in secrets:
                forms = (
                    secret.encode(),
                    secret.lower().encode(),
                    bytes.fromhex(secret + "0") if len(secret) % 2 else bytes.fromhex(secret),
                )
                assert not any(form in content for form in forms), f"a secret is in {path.name}"


def test_a_bank_core_elsewhere_without_zone_security(tmp_path: Path) -> None:
    """``--bank`` uses a running bank core; ``none`` leaves MAC and key exchange out."""
    config = tmp_path / "bank.toml"
    config.write_text(f'listen = "127.0.0.1:0"\ndata = "{tmp_path}/bank"\nsecurity = "none"\n')
    bank = subprocess.Popen(
        (*PROGRAM, "bank-sim", "--config", str(config)), stdout=subprocess.PIPE, env=QUIET
    )
    try:
        assert bank.stdout is not None
        address = msgspec.json.decode(bank.stdout.readline())["bank"]
        data = tmp_path / "data"
        with up(data, "--bank", address, "--bank-security", "none") as (process, ready):
            assert ready["bank"] == address
            assert len(children(process)) == 3
            assert terminal(data, "sign-on")["outcome"] == "approved"
            assert (
                terminal(data, "sale", "--amount", "3.00", "--card", "bob")["outcome"] == "approved"
            )
            again = acquirer("up", "--data", str(data))
            assert (again.returncode, b"another acquirer up" in again.stderr) == (2, True)
            wrong = terminal(data, "sale", "--amount", "3.00", "--card", "bob", "--pin", "000000")
            assert wrong["response_code"] == "55"
    finally:
        bank.terminate()
        bank.wait(HANG_S)


def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    """The switch is killed alone; up starts it again on the same ports. Neither dies of SIGHUP."""
    data = tmp_path / "data"
    with up(data) as (process, _):
        assert terminal(data, "sign-on")["outcome"] == "approved"
        switch = children(process)[-1]
        os.kill(switch, signal.SIGKILL)
        assert gone(switch)
        sale = ("sale", "--amount", "1.00", "--card", "bob")
        assert comes(lambda: terminal(data, *sale)["outcome"] == "approved")
        switch = children(process)[-1]
        config = (data / "switch.toml").read_text()
        os.kill(switch, signal.SIGHUP)
        assert logged(tmp_path, "secrets_reloaded")
        (data / "switch.toml").write_text(config + "[")
        os.kill(switch, signal.SIGHUP)
        assert logged(tmp_path, "secrets_not_reloaded")
        sold = terminal(data, "sale", "--amount", "2.00", "--card", "bob")
        assert sold["outcome"] == "approved"
        process.send_signal(signal.SIGHUP)
        assert process.wait(HANG_S) == 0


def test_books_in_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    """``--database-url`` puts the books into PostgreSQL; reading commands find them there."""
    data = tmp_path / "data"
    with up(data, "--database-url", postgresql_url):
        assert terminal(data, "sign-on")["outcome"] == "approved"
        assert (
            terminal(data, "sale", "--amount", "12.50", "--card", "alice")["outcome"] == "approved"
        )
    assert not (data / "switch.sqlite3").exists()
    balance = msgspec.json.decode(
        acquirer("ledger", "trial-balance", "--data", str(data), "--json").stdout
    )
    assert balance["balanced"]
    assert sum(line["debit_minor"] for line in balance["lines"]) == 1250


def test_wrong_options_say_what_is_wrong() -> None:
    """Exit code 2 and one line that names option or file."""
    ran = acquirer("up", "--bank-security", "tls")
    assert ran.returncode == 2
    assert b"--bank-security" in ran.stderr
    ran = acquirer("up", "--estate", "/nowhere.toml")
    assert ran.returncode == 2
    assert b"/nowhere.toml" in ran.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "key"),
    [
        ('service_code = "101"', 'service_code = "x"', "cards[0].service_code"),
        ("balance_minor = 500000", "balance_minor = -5", "cards[0].balance_minor"),
        ('tmk = "', 'tmk = "541F', "terminals[0].tmk"),
    ],
)
def test_a_wrong_estate_names_file_key_and_reason(
    tmp_path: Path, right: str, wrong: str, key: str
) -> None:
    """A value that cannot be is found before anything starts."""
    text = demo_estate_path().read_text("utf-8")
    assert right in text
    estate = tmp_path / "estate.toml"
    estate.write_text(text.replace(right, wrong, 1), "utf-8")
    ran = acquirer("up", "--data", str(tmp_path / "data"), "--estate", str(estate))
    assert ran.returncode == 2
    assert str(estate).encode() in ran.stderr
    assert key.encode() in ran.stderr


def refused(*options: str) -> str:
    """The one line that ``up`` ends with, in this process: it starts no other."""
    app, logging_before = typer.Typer(), structlog.get_config()
    register(app)
    ran = CliRunner().invoke(app, list(options))
    structlog.configure(**logging_before)
    assert (2, 1) == (ran.exit_code, len(ran.stderr.splitlines()))
    return ran.stderr


@pytest.mark.parametrize("left", ["switch.sqlite3", "switch.sqlite3-wal", "up.json"])
def test_without_its_file_no_books_are_opened(tmp_path: Path, left: str) -> None:
    """Another data key would open no card number in them: refused with the cure, nothing made."""
    (tmp_path / left).touch()
    said = refused("--data", str(tmp_path))
    assert f"switch.toml: is gone, but {left} says" in said
    assert "put it back from the backup" in said
    assert not list(tmp_path.glob("*.toml"))


def test_a_card_number_that_fails_luhn_is_refused(tmp_path: Path) -> None:
    """With the card's name, its number masked, file and key."""
    card = load_estate().cards[0]
    wrong = card.pan[:-1] + str((int(card.pan[-1]) + 1) % 10)
    estate = tmp_path / "estate.toml"
    estate.write_text(demo_estate_path().read_text("utf-8").replace(card.pan, wrong), "utf-8")
    told = refused("--data", str(tmp_path / "data"), "--estate", str(estate))
    for words in (str(estate), "cards[0].pan", card.name, mask_digits(wrong), "Luhn"):
        assert words in told
    assert wrong not in told


def test_a_taken_port_is_named_with_its_option_and_cure(tmp_path: Path) -> None:
    """Before any part is started; the other ports are not asked for."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        told = refused("--data", str(tmp_path / "data"), "--port-base", str(port))
        alone = refused("--data", str(tmp_path / "data"), "--hsm-port", str(port))
    assert f"--hsm-port {port}: port {port} (hsm)" in alone
    assert f"--port-base {port}: port {port} (pos)" in told
    assert "choose another base, or leave the option out" in told
    assert not list((tmp_path / "data").glob("*.toml"))
