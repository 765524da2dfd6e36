"""Business configuration changes while payments run: by commands, in every process, with epochs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import tomli_w
import trio
from limits import HANG_S
from operated import operated, run
from pos_terminal import PosTerminal
from world import OpenWorld, World, card

from acquirer.ledger.reports.journal import JournalLine
from acquirer.ledger.store.configuration import config_history
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

SYBIL = card("sybil")
MERCHANT, SHOP = "898110053310001", "898110055410002"
TILL = "10000003"
ADMIN = {"ACQUIRER_TOKEN": "demo-admin-token"}


async def ready(world: World) -> Any:
    """What a process says of itself."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://{world.http}/readyz")).json()


async def change(world: World, table: str, *bodies: dict[str, Any]) -> None:
    """Take other bodies of one table over."""
    world.changes[table] = list(bodies)
    await world.take_over()


async def bodies_of(world: World, table: str) -> list[dict[str, Any]]:
    """A table of the configuration as it is."""
    found: list[dict[str, Any]] = msgspec.to_builtins(getattr(await world.settings(), table))
    return found


async def code_of(world: World, frame: bytes) -> str:
    """The response code to a request."""
    return (await world.ask(frame)).code


async def test_the_configuration_goes_out_in_and_back(open_world: OpenWorld) -> None:
    """export, diff, import and history tell one story; an import of what is there is a repeat."""
    async with operated(open_world) as world:
        folder, file = world.folder, world.folder / "merchants.toml"
        code, whole = await run(folder, "config", "export")
        assert (0, 1, SHOP) == (code, whole["epoch"], whole["merchant"][1]["merchant_id"])
        merchants = [one | {"mdr_basis_points": 100} for one in whole["merchant"]]
        file.write_bytes(tomli_w.dumps({"merchant": merchants}).encode())

        code, told = await run(folder, "config", "diff", str(file))
        assert (1, len(merchants)) == (code, len(told["differences"]))
        fee = {"member": "mdr_basis_points", "before": 120, "after": 100}
        first = {"kind": "merchant", "key": MERCHANT, "change": "changed", "members": [fee]}
        assert first == told["differences"][0]

        command = ("config", "import", str(file), "--kind", "merchant", "--reason", "dearer")
        code, done = await run(folder, *command, "--by", "demo-admin", env=ADMIN)
        assert (0, 2, False) == (code, done["epoch"], done["repeated"])
        code, done = await run(folder, *command, "--by", "demo-admin", env=ADMIN)
        assert (0, {"epoch": 2, "repeated": True, "versions": []}) == (code, done)
        assert 2 == (await ready(world))["epoch"]
        told = {"epoch": 2, "differences": []}
        assert (0, told) == await run(folder, "config", "diff", str(file))

        _, told = await run(folder, "config", "history", "--kind", "merchant")
        mine = [one for one in told["versions"] if one["key"] == MERCHANT]
        assert [(1, 1, "system", None), (2, 2, "demo-admin", 1)] == [
            (one["version"], one["epoch"], one["made_by"], one["replaces"]) for one in mine
        ]
        assert ("dearer", "", 100, "(set)") == (
            mine[1]["reason"],
            mine[1]["checked_by"],
            mine[1]["body"]["mdr_basis_points"],
            mine[1]["body"]["event_secret"],
        )


async def test_an_import_that_cannot_be_served_changes_nothing(open_world: OpenWorld) -> None:
    """Exit code 2, every fault with its place, as text and as JSON."""
    async with operated(open_world) as world:
        file = world.folder / "bad.toml"
        file.write_text('[[route]]\nbank = "away"\n[[terminal]]\nterminal_id = "1"\n')
        code, told = await run(world.folder, "config", "import", str(file), "--reason", "x")
        places = [fault["place"] for fault in told["error"]["faults"]]
        assert (2, "invalid", ["terminal[0].merchant_id"]) == (code, told["error"]["code"], places)
        file.write_text('[[route]]\nbank = "away"\n[[route]]\nbank = "gone"\nbins = ["62"]\n')
        _, told = await run(world.folder, "config", "import", str(file), "--reason", "x")
        places = [fault["place"] for fault in told["error"]["faults"]]
        assert ["route[0].bank", "route[1].bank"] == places
        assert 1 == (await ready(world))["epoch"]


@pytest.mark.parametrize(
    ("by", "token", "exit_code", "refusal"),
    [
        ("demo-maker", "demo-maker-token", 0, ""),
        ("demo-maker", "demo-admin-token", 1, "R06"),
        ("demo-maker", "", 1, "R06"),
        ("nobody", "demo-admin-token", 1, "R06"),
        ("demo-checker", "demo-checker-token", 1, "R06"),
        ("demo-viewer", "demo-viewer-token", 1, "R06"),
    ],
)
async def test_who_may_change_it(
    world: World, by: str, token: str, exit_code: int, refusal: str
) -> None:
    """An operator whose token it is and who has the role; nobody else."""
    folder = await files_of(world)
    command = ("terminals", "hold", "10000004", "--release", "--reason", "x", "--by", by)
    code, told = await run(folder, *command, env={"ACQUIRER_TOKEN": token})
    assert exit_code == code
    assert refusal == told.get("error", {}).get("code", "")


async def files_of(world: World) -> Path:
    """The files that commands look for beside a switch, in its folder."""
    document = _without_none(msgspec.to_builtins(await world.settings()))
    await trio.Path(world.folder / "switch.toml").write_bytes(tomli_w.dumps(document).encode())
    up = msgspec.json.encode({"http": world.http})
    await trio.Path(world.folder / "up.json").write_bytes(up)
    return world.folder


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value


async def test_the_daily_commands(open_world: OpenWorld) -> None:
    """A merchant and its terminal come, pay, are held and suspended, and pay again."""
    async with operated(open_world) as world:
        ask = partial(run, world.folder)
        terminals = await bodies_of(world, "terminals")
        tmk = next(one["tmk"] for one in terminals if one["terminal_id"] == TILL)
        merchant = ("--name", "Tea 茶", "--mcc", "5499", "--mdr-basis-points", "80")
        code, done = await ask("merchants", "add", "898110059610009", *merchant, "--reason", "new")
        assert (0, 2, "whsec_") == (code, done["epoch"], done["event_secret"][:6])
        code, told = await ask("merchants", "add", "898110059610009", *merchant, "--reason", "new")
        assert (1, "R04") == (code, told["error"]["code"])
        terminal = ("--merchant", "898110059610009", "--profile", "cup", "--tmk", tmk)
        code, done = await ask("terminals", "add", "10000099", *terminal, "--reason", "new")
        assert (0, 3) == (code, done["epoch"])

        known = world.terminal(TILL)
        fresh = PosTerminal("10000099", "898110059610009", known.tmk, known.mac)
        fresh.take_keys(await world.ask(fresh.sign_on()))
        assert "00" == await code_of(world, fresh.sale(SYBIL, 1_000))
        assert -8 == world.balances()["income:mdr"]

        for command, refused in (("merchants", "03"), ("terminals", "58")):
            word, undo, key = {
                "merchants": ("suspend", "--lift", "898110059610009"),
                "terminals": ("hold", "--release", "10000099"),
            }[command]
            assert 0 == (await ask(command, word, key, "--reason", "case 12"))[0]
            assert refused == await code_of(world, fresh.sale(SYBIL, 1_000))
            _, told = await ask(command, "list")
            assert [key] == [
                one[command[:-1] + "_id"]
                for one in told[command]
                if one.get("suspended") or one.get("on_hold")
            ]
            code, again = await ask(command, word, key, "--reason", "case 12")
            assert (0, True) == (code, again["repeated"])
            assert 0 == (await ask(command, word, key, undo, "--reason", "closed"))[0]
            assert "00" == await code_of(world, fresh.sale(SYBIL, 1_000))

        _, shown = await ask("merchants", "show", "898110059610009")
        assert (["10000099"], "(set)") == (shown["terminals"], shown["event_secret"])
        code, told = await ask("terminals", "show", "nobody")
        assert (1, "R05") == (code, told["error"]["code"])
        code, told = await ask("terminals", "hold", "nobody", "--reason", "x")
        assert (1, "R05") == (code, told["error"]["code"])
        code, told = await ask("terminals", "hold", TILL)
        assert (1, "R12") == (code, told["error"]["code"])
        assert (0, True) == await had_keys(world, "10000099")
        assert "77" == await code_of(world, fresh.sale(SYBIL, 1_000))


async def operator(world: World, path: str, body: dict[str, Any]) -> httpx.Response:
    """What the switch answers to an operator's call."""
    headers = {"authorization": "Bearer demo-admin-token", "acquirer-by": "demo-admin"}
    async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client:
        url = f"http://{world.http}/operator/{path}"
        return await client.post(url, headers=headers, json=body)


async def test_what_could_never_work_is_refused_with_its_place(world: World) -> None:
    """A key that the module does not take, an id that DE41 is not, kinds and banks of nowhere."""
    terminals = await bodies_of(world, "terminals")
    one = next(one for one in terminals if one["terminal_id"] == TILL)

    async def places(path: str, **body: Any) -> list[str]:
        reply = await operator(world, path, {**body, "reason": "try"})
        assert 422 == reply.status_code, reply.text
        return [fault["place"] for fault in reply.json()["error"]["faults"]]

    zeros, other = "U" + "0" * 32, {**one, "terminal_id": "10000099"}
    for bad in (zeros, "U1", "", "U" + one["tmk"][1:].swapcase()[:-1] + "!"):
        added = {"kind": "terminal", "members": {**other, "tmk": bad}}
        assert ["terminal 10000099: tmk"] == await places("config/add", **added)
    added = {"kind": "terminal", "members": {**other, "terminal_id": "99"}}
    assert ["terminal 99: terminal_id"] == await places("config/add", **added)
    changed = {"kind": "terminal", "key": TILL, "members": {"tmk": zeros}}
    assert [f"terminal {TILL}: tmk"] == await places("config/change", **changed)
    document = {
        "terminal": [*terminals, {**other, "tmk": zeros}],
        "route": [{"bank": "demo", "kinds": ["sael"]}],
        "stand_in": [{"floor_limit_minor": 1, "banks": ["nobody"]}],
    }
    assert [
        "route[0].kinds",
        "stand_in[0].banks",
        f"terminal[{len(terminals)}].tmk",
    ] == await places("config/import", document=document)


@pytest.mark.parametrize("path", ["config/import", "config/change", "saf/1/write-off"])
async def test_a_nul_in_a_reason_is_the_callers_fault(world: World, path: str) -> None:
    """400, on either database; nothing is stored."""
    bodies: dict[str, dict[str, Any]] = {
        "config/import": {"document": {"terminal": []}},
        "config/change": {"kind": "terminal", "key": TILL, "members": {"on_hold": True}},
        "saf/1/write-off": {"name": "w.chen"},
    }
    reply = await operator(world, path, {**bodies[path], "reason": "a\0b"})
    assert (400, True) == (reply.status_code, "NUL" in reply.json()["error"])


async def had_keys(world: World, terminal_id: str) -> tuple[int, bool]:
    """End a terminal's working keys."""
    code, done = await run(world.folder, "terminals", "keys", terminal_id, "--now")
    return code, done["had_keys"]


async def test_what_is_under_way_goes_on(world: World) -> None:
    """A suspended merchant takes no new money; what undoes money goes on, and repeats are told."""
    terminal = await world.signed_on(TILL)
    frame = terminal.sale(SYBIL, 2_000)
    other_frame = terminal.sale(SYBIL, 2_100)
    paid, other = await world.ask(frame), await world.ask(other_frame)
    merchants = await bodies_of(world, "merchants")
    closed = [one | {"suspended": one["merchant_id"] == SHOP} for one in merchants]
    await change(world, "merchants", *closed)
    try:
        assert "03" == await code_of(world, terminal.balance(SYBIL))
        assert ("00", paid[37]) == ((again := await world.ask(frame)).code, again[37])
        assert "00" == await code_of(world, terminal.void(SYBIL, 2_000, paid))
        assert ("00", "00") == (other.code, await code_of(world, terminal.reversal(other_frame)))
        assert "00" == await code_of(world, terminal.sign_on())
    finally:
        await change(world, "merchants", *merchants)
    terminal.take_keys(await world.ask(terminal.sign_on()))


async def test_what_is_written_out_is_its_owners_alone(open_world: OpenWorld) -> None:
    """Over a file that others could read, too: an export has secrets in it."""
    async with operated(open_world) as world:
        file = world.folder / "all.toml"
        file.touch()
        file.chmod(0o644)
        code, _ = await run(world.folder, "config", "history", str(file))
        assert (0, 0o600) == (code, file.stat().st_mode & 0o777)


async def test_a_terminal_on_hold_refunds_nothing(world: World) -> None:
    """58, as whatever else would give money back there; a repeat of it is 58 too, for good."""
    terminal = await world.signed_on(TILL)
    paid = await world.ask(terminal.sale(SYBIL, 2_000))
    frame, terminals = terminal.refund(SYBIL, 2_000, paid), await bodies_of(world, "terminals")
    await change(
        world, "terminals", *(one | {"on_hold": one["terminal_id"] == TILL} for one in terminals)
    )
    try:
        refused = await world.ask(frame)
        assert ("58", True) == (refused.code, terminal.sealed(refused))
    finally:
        await change(world, "terminals", *terminals)
    assert ("58", "approved") == (await code_of(world, frame), world.state(paid))
    assert "00" == await code_of(world, terminal.refund(SYBIL, 2_000, paid))


async def test_a_restart_keeps_it_and_tells_what_drifted(open_world: OpenWorld) -> None:
    """The file is one for the first start; what it says later counts when it is imported."""
    async with operated(open_world) as world:
        merchants = await bodies_of(world, "merchants")
        await change(world, "merchants", *(one | {"mdr_basis_points": 100} for one in merchants))
        await world.drain()
        del world.changes["merchants"]
        await world.start_switch()
        folder = await files_of(world)
        assert 2 == (await ready(world))["epoch"]
        terminal = await world.signed_on(TILL)
        assert "00" == await code_of(world, terminal.sale(SYBIL, 10_000))
        assert -100 == world.balances()["income:mdr"]

        code, told = await run(folder, "config", "diff")
        assert (1, {"merchant"}) == (code, {one["kind"] for one in told["differences"]})
        code, done = await run(folder, "config", "import", "--kind", "merchant", "--reason", "back")
        assert (0, 3) == (code, done["epoch"])
        assert 0 == (await run(folder, "config", "diff"))[0]
        assert "00" == await code_of(world, terminal.sale(SYBIL, 10_000))
        assert -160 == world.balances()["income:mdr"]


async def test_both_processes_take_it_over(open_world: OpenWorld, postgresql_url: str) -> None:
    """A fee that was changed at one is taken by the other, whose connections stay."""
    async with open_world(url=postgresql_url) as world, world.sibling() as second:
        terminal = await world.signed_on(TILL)
        async with second.line() as line:
            assert "00" == (await line.ask(terminal.sale(SYBIL, 10_000))).code
            before = world.balances()["income:mdr"]
            merchants = await bodies_of(world, "merchants")
            await change(world, "merchants", *(one | {"mdr_basis_points": 5} for one in merchants))
            assert 2 == (await ready(world))["epoch"]

            async def follows() -> bool:
                return bool((await ready(second))["epoch"] == 2)

            await world.until(follows)
            reply = await line.ask(terminal.sale(SYBIL, 10_000))
            assert "00" == reply.code
        assert (-5, 2) == (world.balances()["income:mdr"] - before, world.entry(reply[37]).epoch)


# --- under load ------------------------------------------------------------------------------


class Load:
    """Terminals that sell without a pause, each on one connection, until told to stop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running = True
        self.codes: list[str] = []
        self.answered = trio.Event()

    async def sell(self, terminal: PosTerminal) -> None:
        """One terminal's day."""
        async with self.world.line() as line:
            while self.running:
                self.codes.append((await line.ask(terminal.sale(SYBIL, 1_000))).code)
                self.answered.set()
                self.answered = trio.Event()

    async def until_seen(self, epoch: int, count: int = 6) -> None:
        """Wait for answers until so many sales were decided by a configuration.

        Not for a time: the world's clock stands still while somebody is busy.
        """
        while sum(line.epoch == epoch for line in self.world.journal()) < count:
            await self.answered.wait()


async def test_each_payment_is_decided_by_one_epoch(open_world: OpenWorld) -> None:
    """Under load a fee, a route and a terminal change; each entry agrees with its epoch's."""
    async with open_world() as world:
        banks = await bodies_of(world, "banks")
        world.changes["banks"] = [*banks, banks[0] | {"name": "second"}]
        await world.drain()
        await world.start_switch()
        merchants = await bodies_of(world, "merchants")
        terminals = await bodies_of(world, "terminals")
        held = [one | {"on_hold": one["terminal_id"] == "10000004"} for one in terminals]
        sellers = [await world.signed_on(name) for name in ("10000001", "10000003", "10000004")]
        load = Load(world)
        async with trio.open_nursery() as nursery:
            for terminal in sellers:
                nursery.start_soon(load.sell, terminal)
            await load.until_seen(1)
            await change(world, "merchants", *(one | {"mdr_basis_points": 90} for one in merchants))
            await load.until_seen(2)
            await change(world, "routes", {"bank": "second"})
            await load.until_seen(3)
            await change(world, "terminals", *held)
            await load.until_seen(4)
            load.running = False
        # How much is sold until then is the machine's to say: the card may run out of money.
        assert {"00", "58"} == set(load.codes) - {"51"}
        check_epochs(world, world.journal())


def check_epochs(world: World, entries: Sequence[JournalLine]) -> None:
    """Bank, hold and fee of every entry are those of its epoch, and epochs follow each other."""
    with Database(world.url).read_only_engine().connect() as connection:
        versions = config_history(connection)
        posted = connection.exec_driver_sql(
            "SELECT event_id, amount_minor FROM transfers WHERE code = 'mdr'"
        )
        fees = {row.event_id: row.amount_minor for row in posted}

    def member(kind: str, key: str, epoch: int, name: str) -> Any:
        body = [
            one.body
            for one in versions
            if (one.kind, one.key) == (kind, key) and one.epoch <= epoch
        ][-1]
        assert body is not None
        return msgspec.json.decode(body).get(name)

    assert {1, 2, 3, 4} == {entry.epoch for entry in entries}
    assert [entry.epoch for entry in entries] == sorted(entry.epoch for entry in entries)
    for entry in entries:
        is_held = member("terminal", entry.terminal_id, entry.epoch, "on_hold")
        if is_held:
            assert "58" == entry.response_code
            continue
        assert entry.response_code in ("00", "51")
        assert member("route", "1", entry.epoch, "bank") == entry.bank
        if entry.response_code == "51":
            continue
        fee = member("merchant", entry.merchant_id, entry.epoch, "mdr_basis_points")
        assert round(1_000 * fee / 10_000) == fees[entry.id]
