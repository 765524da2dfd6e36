"""Event secrets change while the switch runs: the right ones sign, and no notice is lost."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import tomli_w
import trio
from operated import without_none
from pos_terminal import Reply, de59
from world import OpenWorld, World

from acquirer.cli.serve import load_switch_settings
from acquirer.config.estate import load_estate
from acquirer.ledger.reports.orders import event_lines
from acquirer.ledger.store.database import Database
from acquirer.routing.orders.errors import SignatureError
from acquirer.routing.orders.webhooks import verify
from acquirer.switch.settings import SwitchSettings

pytestmark = pytest.mark.anyio

OLD = load_estate().merchants[0].event_secret
TOKEN = "a-token-of-this-test"
NEW = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE="
ORDER = next(one for one in load_estate().orders if one.order_no == "SP20261121003")


def write(file: Path, settings: SwitchSettings, *secrets: str, merchant: int = 0) -> None:
    """The switch's file with other secrets of one merchant."""
    document = without_none(msgspec.to_builtins(settings))
    document["merchants"][merchant] |= {
        "event_secret": secrets[0],
        "event_secrets": list(secrets[1:]),
    }
    file.write_bytes(tomli_w.dumps(document).encode())


async def command(folder: Path) -> tuple[int, str]:
    """The operator's command: exit code, and what it says."""
    done = await trio.run_process(
        [sys.executable, "-m", "acquirer", "orders", "secrets", "reload", "--data", str(folder)],
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode()


async def reload(world: World) -> Any:
    """The call that the command makes; its answer."""
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{world.http}/operator/secrets/reload"
        return (await client.post(url, headers={"authorization": f"Bearer {TOKEN}"})).json()


def signers(secrets: list[str], notice: tuple[dict[str, str], bytes]) -> list[str]:
    """Which of these secrets have signed."""
    headers, body = notice

    def signed(secret: str) -> bool:
        try:
            return bool(verify(headers, body, [secret], float(headers["webhook-timestamp"])))
        except SignatureError:
            return False

    return [secret for secret in secrets if signed(secret)]


class Receiver:
    """A merchant's receiver that keeps what came; it is down until it is opened."""

    def __init__(self) -> None:
        self.notices: list[tuple[dict[str, str], bytes]] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        """One request a connection."""
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
            headers = {name.lower(): value for name, _, value in lines}
            while len(body) < int(headers["content-length"]):
                body += await stream.receive_some(65536)
            self.notices.append((headers, body))
            await stream.send_all(b"HTTP/1.1 204 OK\r\nconnection: close\r\n\r\n")


async def test_new_secrets_sign_without_a_restart(open_world: OpenWorld, tmp_path: Path) -> None:
    """Old, both, new; what waited while they changed leaves with those of the time it leaves."""
    file = tmp_path / "switch.toml"
    changes = {"operator_token": TOKEN}
    read = partial(load_switch_settings, file)
    async with open_world(changes=changes, read=read) as world, trio.open_nursery() as nursery:
        settings = await world.settings()
        write(file, settings, OLD)
        (tmp_path / "up.json").write_bytes(msgspec.json.encode({"http": world.http}))
        terminal, receiver = await world.with_courier(), Receiver()

        async def ask(mti: str, code: str, kind: str, fields: dict[int, Any]) -> Reply:
            items = de59(ON=ORDER.order_no, OC="C1001")
            reply: Reply = await world.ask(terminal.order(mti, code, kind, items, fields))
            assert "00" == reply.code
            return reply

        paid = await ask("0200", "900000", "72", {4: f"{ORDER.amount_minor:012d}"})
        await world.until(lambda: world.order(ORDER.order_no).state == "paid")
        about = {37: paid[37], 61: f"{terminal.batch}{paid[11]}{paid[13]}"}
        host, _, port = world.addresses["orders"].partition(":")
        await world.stop("orders")
        await ask("0220", "900000", "73", about)
        await world.until(lambda: any(line.attempts for line in pending(world.url)))

        write(file, settings, OLD, NEW)
        assert [ORDER.merchant_id] == (await reload(world))["merchants"]
        await nursery.start(partial(trio.serve_tcp, receiver.serve, int(port), host=host))
        await world.until(lambda: receiver.notices)
        assert [OLD, NEW] == signers([OLD, NEW], receiver.notices[0])

        write(file, settings, NEW)
        assert [ORDER.merchant_id] == (await reload(world))["merchants"]
        await ask("0200", "200000", "75", about)
        await world.until(lambda: len(receiver.notices) == 2)
        assert [NEW] == signers([OLD, NEW], receiver.notices[1])

        await what_cannot_be_used_changes_nothing(world, file, settings)
        await ask("0220", "200000", "76", about)
        await world.until(lambda: not pending(world.url))
        assert [[NEW]] == [signers([OLD, NEW], notice) for notice in receiver.notices[2:]]
        nursery.cancel_scope.cancel()


async def test_orders_are_opened_under_the_secrets_of_now(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    """A till's new order is signed like a notice; a secret that the merchant lacks opens none."""
    file = tmp_path / "switch.toml"
    known = load_estate().merchants[1].event_secret
    async with open_world(read=partial(load_switch_settings, file)) as world:
        settings = await world.settings()
        terminal = await world.with_courier("10000003", "C2001")
        for number, (secrets, code) in enumerate((((NEW,), "91"), ((NEW, known), "00"))):
            write(file, settings, *secrets, merchant=1)
            await world.parts.reload()
            items = de59(ON=f"S10000003{number:012d}", OC="C2001", IT="1001*1")
            reply = await world.ask(terminal.order("0200", "380000", "71", items))
            assert code == reply.code


async def what_cannot_be_used_changes_nothing(
    world: World, file: Path, settings: SwitchSettings
) -> None:
    """No secret, a secret that is none, no TOML; what else differs is named and left alone."""
    write(file, settings, "")
    place = "merchant 898110053310001: event_secret"
    (fault,) = (await reload(world))["error"]["faults"]
    assert {"place": place, "reason": "would be left without one"} == fault
    write(file, settings, NEW, "whsec_short")
    (fault,) = (await reload(world))["error"]["faults"]
    assert (place, False) == (fault["place"], "whsec_short" in fault["reason"])
    await trio.Path(file).write_text("[")
    assert "is not TOML" in (await reload(world))["error"]
    limits = msgspec.structs.replace(settings.limits, drain_s=1.0)
    couriers = settings.couriers[:1]
    write(file, msgspec.structs.replace(settings, limits=limits, couriers=couriers), NEW)
    named = (
        "new secrets for: nobody\n"
        "changed, but only `acquirer config import` takes it over: courier\n"
        "changed, but only a restart takes it over: limits\n"
    )
    assert (0, named) == await command(file.parent)


def pending(url: str) -> list[Any]:
    """Notices that have not been delivered."""
    with Database(url).read_only_engine().connect() as connection:
        return list(event_lines(connection, "pending"))
