"""A day of `acquirer up` with logs at debug: nothing that it wrote anywhere shows a secret."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
from limits import HANG_S, comes

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.config.estate import Card, load_estate
from acquirer.hsm_sim.crypto.pinblock import encode_iso0

PROGRAM = (sys.executable, "-m", "acquirer")
LOUD = {**os.environ, "ACQUIRER_LOG_LEVEL": "debug", "PYTHONFAULTHANDLER": "1"}
ESTATE = load_estate()
DAY = (
    ("sign-on",),
    ("sale", "--amount", "12.50", "--card", "alice"),
    ("sale", "--amount", "66.01", "--card", "alice"),
    ("sale", "--amount", "99999.99", "--card", "bob"),
    ("courier-sign-on", "C1001"),
    ("order-pay", "SP20261121001", "--card", "bob"),
    ("void",),
    ("status",),
)
REPORTS = (
    ("journal", "list"),
    ("links", "unmatched"),
    ("bank-sim", "transactions"),
)


def card_forms(card: Card) -> list[bytes]:
    """A card number as text and packed with either padding, its track, its clear PIN block."""
    packed = [card.pan + "0" * (len(card.pan) % 2), "0" * (len(card.pan) % 2) + card.pan]
    block = encode_iso0(card.pin, Pan(card.pan).account_number)
    forms = [card.pan.encode(), card.track2.encode(), *map(bytes.fromhex, packed)]
    return forms + key_forms(block)


def key_forms(key: bytes) -> list[bytes]:
    """Raw, and as hexadecimal in both cases."""
    return [key, key.hex().encode(), key.hex().upper().encode()]


def secrets() -> list[bytes]:
    """All that the estate holds and nobody may write down."""
    forms = [form for card in ESTATE.cards for form in card_forms(card)]
    keys = [terminal.tmk for terminal in ESTATE.terminals if terminal.tmk]
    keys += [profile.bdk for profile in ESTATE.profiles if profile.bdk]
    keys += [key for bank in ESTATE.banks for key in (bank.zmk, bank.zpk)]
    return forms + [form for key in keys for form in key_forms(bytes.fromhex(key))]


def run(*arguments: str) -> bytes:
    """A command's whole output."""
    ran = subprocess.run((*PROGRAM, *arguments), capture_output=True, check=False, env=LOUD)
    return ran.stdout + ran.stderr


def throw(address: str) -> bytes:
    """Frames that break in every layer, each with a card number; what comes back."""
    host, _, port = address.rpartition(":")
    pan = ESTATE.cards[0].pan.encode()
    packed = bytes.fromhex(ESTATE.cards[0].pan.ljust(20, "0"))
    head = bytes.fromhex("6000030000603100311111")
    came = b""
    stranger = Message(
        "0200",
        {
            2: ESTATE.cards[0].pan,
            3: "000000",
            4: "000000001250",
            11: "000001",
            22: "012",
            25: "00",
            41: "99999999",
            42: "898110053310001",
            49: "156",
            60: "22000001",
        },
    )
    for body in (
        head + load_dialect("cup_pos").encode(stranger),
        b"GET /" + pan,
        head + bytes.fromhex("02007024048020C09A11") + bytes([len(pan)]) + packed * 3,
        head + bytes.fromhex("0200FFFFFFFFFFFFFFFF") + packed * 8,
        head + pan * 5,
    ):
        with socket.create_connection((host, int(port)), HANG_S) as line:
            line.settimeout(HANG_S)
            line.sendall(len(body).to_bytes(2, "big") + body)
            line.shutdown(socket.SHUT_WR)
            try:
                while part := line.recv(4096):
                    came += part
            except OSError:
                continue
    return came


def page(address: str, path: str) -> bytes:
    """An HTTP page of the switch."""
    connection = http.client.HTTPConnection(address, timeout=HANG_S)
    connection.request("GET", path)
    return connection.getresponse().read()


def abort_switch(parent: int) -> None:
    """SIGABRT, which makes faulthandler dump all stacks."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in children.read_text().split():
            if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                os.kill(int(pid), signal.SIGABRT)
                return
    raise AssertionError("no switch")


def test_nothing_leaks(tmp_path: Path) -> None:
    """Logs, traces, metrics, databases, terminal files, stack dumps, error replies, reports."""
    data = tmp_path / "shop"
    written: dict[str, bytes] = {}
    log = tmp_path / "up.log"
    with log.open("wb") as stderr:
        up = subprocess.Popen(
            (*PROGRAM, "up", "--data", str(data)), stdout=subprocess.PIPE, stderr=stderr, env=LOUD
        )
        try:
            assert up.stdout is not None
            ready = msgspec.json.decode(up.stdout.readline(), type=dict[str, object])
            pos, web = str(ready["pos"]), str(ready["http"])
            state = str(tmp_path / "terminal.json")
            terminal = ("terminal", "--tid", "10000001", "--data", str(data), "--state", state)
            for step in DAY:
                written[f"trace {step}"] = run(*terminal, "--trace", *step)
            written["error replies"] = throw(pos)
            for path in ("/metrics", "/readyz", "/healthz"):
                written[path] = page(web, path)
            for report in REPORTS:
                written[f"report {report}"] = run(*report, "--data", str(data), "--json")
            abort_switch(up.pid)
            assert comes(lambda: b"Fatal Python error" in log.read_bytes())
        finally:
            up.terminate()
            up.wait(HANG_S)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written |= {str(path): path.read_bytes() for path in files}
    assert b'"kind":"sale"' in written[str(log)]
    assert b"Fatal Python error: Aborted" in written[str(log)]
    assert b"1250" in written[f"trace {DAY[1]}"]
    assert len(written["error replies"]) > 0
    assert {"switch.sqlite3", "terminal.json"} <= {path.name for path in files}
    found = {(name, form) for name, text in written.items() for form in secrets() if form in text}
    assert set() == found
