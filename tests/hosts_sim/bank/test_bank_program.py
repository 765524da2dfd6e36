"""``acquirer bank-sim`` as a program: ready line, books while it runs, signals, bad settings."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from limits import HANG_S
from typer.testing import CliRunner

from acquirer.cli.bank_sim import bank_sim_app
from acquirer.codecs.dialect import load_dialect

DIALECT = load_dialect("iso87_ascii")
PROGRAM = "from acquirer.cli.bank_sim import bank_sim_app as app; app()"


def _ask(link: socket.socket, *asked: Any) -> list[str]:
    frames = [DIALECT.length_header.encode(DIALECT.encode(message)) for message in asked]
    link.sendall(b"".join(frames))
    codes = []
    for _ in asked:
        size = int.from_bytes(link.recv(2, socket.MSG_WAITALL), "big")
        codes.append(DIALECT.decode(link.recv(size, socket.MSG_WAITALL)).get(39))
    return codes


def test_it_serves_shows_its_books_and_ends(tmp_path: Path, messages: Any) -> None:
    """One JSON line when ready; rows and totals while it runs; SIGTERM ends it with 0."""
    config = tmp_path / "bank.toml"
    config.write_text('data = "books"\n')
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--config", str(config)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    try:
        ready = json.loads(program.stdout.readline())
        assert {"ready", "bank"} == set(ready)
        host, port = ready["bank"].split(":")
        with socket.create_connection((host, int(port)), timeout=HANG_S) as link:
            sales = [messages.sale(n, 100) for n in range(50)]
            assert ["00"] * 50 == _ask(link, *sales)
            assert ["00"] == _ask(link, messages.undo(sales[0], 99, "0400"))
            assert ["25"] == _ask(link, messages.undo(messages.sale(77), 98, "0400"))
        folder = str(tmp_path / "books")
        runner = CliRunner()
        shown = runner.invoke(bank_sim_app, ["transactions", "--data", folder, "--json"])
        rows = json.loads(shown.stdout)["transactions"]
        assert (50, "reversed", "approved") == (len(rows), rows[0]["state"], rows[1]["state"])
        newest = runner.invoke(
            bank_sim_app, ["transactions", "--data", folder, "--json", "--limit", "1"]
        )
        assert rows[-1:] == json.loads(newest.stdout)["transactions"]
        summed = runner.invoke(bank_sim_app, ["totals", "--data", folder, "--json"])
        totals = json.loads(summed.stdout)["totals"]
        assert (4900, {"count": 2, "unknown_count": 1}) == (
            totals["net_approved_minor"],
            totals["reversals"],
        )
        for command in ("transactions", "totals"):
            assert 0 == runner.invoke(bank_sim_app, [command, "--data", folder]).exit_code
    finally:
        program.send_signal(signal.SIGTERM)
        assert 0 == program.wait(HANG_S)
        program.stdout.close()


def test_bad_settings_name_file_key_and_reason(tmp_path: Path) -> None:
    """Exit code 2, nothing on stdout."""
    config = tmp_path / "bank.toml"
    for text, expected in (
        ("listen = 5", "listen"),
        ('bank = "nobody"', "bank: one of demo"),
        ('dialect = "klingon"', "no dialect 'klingon'"),
        ('listen = "nowhere"', "'nowhere' is not host:port"),
    ):
        config.write_text(text + f'\ndata = "{tmp_path}/books"\n' * (text != "listen = 5"))
        result = CliRunner().invoke(bank_sim_app, ["--config", str(config)])
        assert (2, "") == (result.exit_code, result.stdout)
        assert expected in result.stderr


def test_books_need_a_folder(tmp_path: Path) -> None:
    """Without --config there must be --data; without books there is nothing to show."""
    for arguments in ([], ["totals", "--data", str(tmp_path)]):
        result = CliRunner().invoke(bank_sim_app, arguments)
        assert (2, "") == (result.exit_code, result.stdout)
