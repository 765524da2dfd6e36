"""``acquirer terminal`` as a tester types it, against a scripted host on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from fake_host import Act, FakeHost
from limits import HANG_S
from typer.testing import CliRunner, Result

from acquirer.cli.terminal import terminal_app

TRACED = ("--tid", "10000001", "--trace")


class Served:
    """A host in a thread of its own."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as self._scope:
            async with trio.open_nursery() as nursery:
                listeners = await nursery.start(trio.serve_tcp, self.host.serve, 0)
                self.port = listeners[0].socket.getsockname()[1]
                self._ready.set()

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(HANG_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(HANG_S)


@pytest.fixture
def served(host: FakeHost) -> Iterator[Served]:
    """The usual host, serving."""
    with Served(host) as server:
        yield server


@pytest.fixture
def run(served: Served, tmp_path: Path) -> Any:
    """Calls the command for terminal 10000001 with a data folder."""
    address = {"pos": f"127.0.0.1:{served.port}"}
    (tmp_path / "up.json").write_text(json.dumps(address), "utf-8")

    def call(*words: str, options: tuple[str, ...] = ("--tid", "10000001")) -> Result:
        given = ["--data", str(tmp_path), "--timeout", "5", *options, *words]
        return CliRunner().invoke(terminal_app, given)

    return call


def test_calls_compose(run: Any, tmp_path: Path) -> None:
    """Sign-on, sale and void in calls of their own, tied by the state file."""
    assert run("sign-on").exit_code == 0
    sale = run("sale", "--amount", "12.50", "--card", "alice")
    assert (sale.exit_code, "00 approved" in sale.output, "12.50" in sale.output) == (0, True, True)
    assert run("void").exit_code == 0
    assert (tmp_path / "terminals" / "10000001.json").is_file()
    status = json.loads(run("status", options=("--tid", "10000001", "--json")).output)
    assert [entry["state"] for entry in status["journal"]] == ["voided", "approved"]
    assert (status["signed_on"], "wrapped_keys" in status) == (True, False)


def test_status_says_how_much_it_shows(run: Any) -> None:
    """The last 15 transactions, how many there are, and how to see the others."""
    run("sign-on")
    for minor in range(1, 17):
        run("sale", "--amount", f"0.{minor:02d}", "--card", "alice")
        if minor >= 15:
            shown = run("status").stdout
            assert (minor == 15, minor > 15) == ("0.01" in shown, f"15 of {minor}" in shown)
    assert "--json" in shown.splitlines()[-1]
    whole = json.loads(run("status", options=("--tid", "10000001", "--json")).stdout)
    assert 16 == len(whole["journal"])


def test_json_is_one_object(run: Any) -> None:
    """With --json standard output is one object, the trace goes elsewhere."""
    run("sign-on")
    options = ("--tid", "10000001", "--json", "--trace")
    result = run("sale", "--amount", "12.50", "--card", "alice", options=options)
    found = json.loads(result.stdout)
    assert (found["outcome"], found["amount_minor"], found["mac"]) == ("approved", 1250, "good")
    assert "→ sent" in result.stderr


def test_trace_is_masked(run: Any) -> None:
    """The trace shows every field but no card number and no PIN block."""
    run("sign-on")
    options = ("--tid", "10000001", "--trace")
    output = run("sale", "--amount", "1", "--card", "alice", "--entry", "chip", options=options)
    assert "622588*********0907" in output.output
    assert "6225882202982730907" not in output.output
    assert "processing code" in output.output


def test_declines_exit_with_one(run: Any, host: FakeHost, act: type[Act]) -> None:
    """A decline says why and exits with 1."""
    run("sign-on")
    host.script.append(act(fields={39: "51"}, remove=(38,)))
    result = run("sale", "--amount", "1", "--card", "alice")
    assert (result.exit_code, "51 insufficient funds" in result.output) == (1, True)


def test_no_answer_exits_with_three(run: Any, host: FakeHost, act: type[Act]) -> None:
    """No answer is reversed and exits with 3."""
    run("sign-on")
    host.script.append(act(close=True))
    result = run("sale", "--amount", "1", "--card", "alice")
    assert result.exit_code == 3
    assert host.requests[-1].mti == "0400"


def test_refusal_of_the_terminal_exits_with_one(run: Any) -> None:
    """Without keys the terminal refuses by itself."""
    result = run("sale", "--amount", "1", "--card", "alice")
    assert (result.exit_code, "sign on first" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("sale", "--amount", "1.234", "--card", "alice"),
        ("sale", "--amount", "1", "--card", "nobody"),
        ("sale", "--amount", "1", "--card", "alice", "--entry", "foot"),
        ("courier-sign-on", "nobody"),
        ("order-pay", "SP1", "--cash", "--delivery"),
        ("balance", "--card", "alice", "--pin", "12"),
    ],
)
def test_wrong_use_exits_with_two(run: Any, words: tuple[str, ...]) -> None:
    """Wrong amounts, names and PINs are the caller's."""
    run("sign-on")
    assert run(*words).exit_code == 2


def test_unknown_terminal_and_missing_address(run: Any, tmp_path: Path) -> None:
    """Both are told with exit code 2."""
    assert run("echo", options=("--tid", "777")).exit_code == 2
    alone = CliRunner().invoke(terminal_app, ["--tid", "10000001", "echo"])
    assert (alone.exit_code, "--port" in alone.stderr) == (2, True)
    (tmp_path / "up.json").write_text("[]", "utf-8")
    assert run("echo").exit_code == 2


def test_order_at_the_door(run: Any, host: FakeHost) -> None:
    """The merchant's courier is signed on where nobody is; the amount due is asked for."""
    host.amount_due = "000000021478"
    host.order_fields = {"OS": "00", "OW": "12", "OT": "Phone|Block 14"}
    run("sign-on")
    query = run("order-query", "SP1")
    assert (query.exit_code, "214.78" in query.output, "card, cash" in query.output) == (
        0,
        True,
        True,
    )
    assert run("order-pay", "SP1", "--cash").exit_code == 0
    assert run("order-confirm", "SP1").exit_code == 0
    assert run("order-sign", "SP1", "--by", "Wang").exit_code == 0
    assert run("order-cancel", "SP1").exit_code == 0
    assert run("order-exception", "SP2", "--reason", "02", "--text", "gone").exit_code == 0
    types = [message.get(60)[:2] + message.get(60)[8:11] for message in host.requests]
    assert types == [
        "00003",
        "00402",
        "71000",
        "71000",
        "72000",
        "73000",
        "74000",
        "75000",
        "76000",
        "77000",
    ]


def test_a_paid_order_shows_no_ways_to_pay(run: Any, host: FakeHost) -> None:
    """The reply names what the merchant accepts; who reads it has nothing left to pay."""
    host.amount_due = "000000000000"
    host.order_fields = {"OS": "01", "OW": "12", "OT": "Phone"}
    run("sign-on")
    shown = run("order-query", "SP1").output
    assert ("paid" in shown, "pay by" in shown) == (True, False)


def test_displaced_courier_signs_on_again(run: Any, host: FakeHost, act: type[Act]) -> None:
    """Where the courier went elsewhere meanwhile, he signs on once more."""
    host.amount_due = "000000021478"
    run("sign-on")
    run("courier-sign-on", "C1001")
    host.script.append(act(fields={39: "58"}, remove=(4,)))
    assert run("order-query", "SP1").exit_code == 0
    assert [m.get(60)[8:11] for m in host.requests][-3:] == ["000", "402", "000"]


def test_scenario_passes_and_fails(
    run: Any, host: FakeHost, act: type[Act], tmp_path: Path
) -> None:
    """A scenario exits with 0, or with 1 and the field that differed, or with 2 for a bad file."""
    path = tmp_path / "s.toml"
    path.write_text(
        'title = "t"\n[[terminals]]\ntid = "10000001"\n'
        '[[steps]]\ndo = "sign-on"\n[[steps]]\ndo = "echo"\nexpect = { "39" = "00" }\n',
        "utf-8",
    )
    good = run("run", str(path), options=())
    assert (good.exit_code, "2 steps as expected" in good.output) == (0, True)
    host.script.extend([None, act(fields={39: "96"})])
    bad = run("run", str(path), options=())
    assert bad.exit_code == 1
    assert "step 2 (echo, terminal 10000001): field 39: expected '00' (approved)" in bad.stderr
    host.script.extend([None, act(fields={39: "96"})])
    as_json = json.loads(run("run", str(path), options=("--json",)).stdout)
    assert (as_json["passed"], as_json["failure"]["key"]) == (False, "39")
    assert run("run", str(tmp_path / "none.toml"), options=()).exit_code == 2


def test_several_orders_and_what_the_merchant_asks_for(run: Any) -> None:
    """Further orders are named in N2 and so on, keyed values in OV."""
    run("sign-on")
    swipe = ("order-pay", "SP1", "SP2", "--card", "alice", "--amount", "9.00")
    shown = run(*swipe, "--field", "floor=3", "--field", "gate=b", options=TRACED).output
    assert ("N2" in shown, "SP2" in shown, "3|b" in shown) == (True, True, True)
    assert run(*swipe, "--field", "floor").exit_code == 2
    assert run("order-pay", "SP1", "SP2", "--cash", "--amount", "9.00").exit_code == 1
