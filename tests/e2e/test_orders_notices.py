"""Notices as a merchant verifies them: docs/interfaces/order-systems.md, and rotated secrets."""

from __future__ import annotations

import base64
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from pos_terminal import de59
from world import OpenWorld, World

from acquirer.ledger.reports.orders import event_lines
from acquirer.ledger.store.database import Database
from acquirer.routing.orders.webhooks import sign

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "interfaces" / "order-systems.md").read_text("utf-8")
OLD = "whsec_" + base64.b64encode(bytes(range(24))).decode()
# What the page's commands ask of curl and openssl, for machines that have neither.
STAND_INS = {
    "openssl": """
import hmac, sys
assert sys.argv[1:6] == ["dgst", "-sha256", "-mac", "HMAC", "-macopt"] and sys.argv[7] == "-binary"
key = bytes.fromhex(sys.argv[6].removeprefix("hexkey:"))
sys.stdout.buffer.write(hmac.digest(key, sys.stdin.buffer.read(), "sha256"))
""",
    "curl": """
import sys, urllib.request
words = sys.argv[1:]
assert words[:4] == ["-sS", "-o", "/dev/null", "-w"]
assert words[-2] == "--data-binary"
url, headers = words[5], words[7:-2:2]
assert set(words[6:-2:2]) == {"-H"}
named = dict(header.split(": ", 1) for header in headers)
request = urllib.request.Request(url, words[-1].encode(), named)
print(urllib.request.urlopen(request, timeout=300).status)
""",
}
NEW = "whsec_" + base64.b64encode(bytes(range(24, 48))).decode()


def example(language: str) -> str:
    """The page's example in a language."""
    return PAGE.partition(f"```{language}\n")[2].partition("```")[0]


def headers(secrets: list[str], body: bytes, at: int) -> dict[str, str]:
    """As the switch signs."""
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(at),
        "webhook-signature": sign(secrets, "evt_1", at, body),
    }


def test_the_python_example_takes_what_is_right_and_nothing_else() -> None:
    """Any of several signatures will do; a wrong body, secret or time will not."""
    names: dict[str, Any] = {}
    exec(example("python"), names)
    verify, now, body = names["verify"], int(time.time()), b'{"type":"order.paid"}'
    assert verify(headers([OLD], body, now), body, OLD)
    assert verify(headers([NEW, OLD], body, now), body, OLD)
    assert not verify(headers([NEW], body, now), body, OLD)
    assert not verify(headers([OLD], body, now), body + b" ", OLD)
    assert not verify(headers([OLD], body, now - 301), body, OLD)


async def check_the_curl_example(world: World, path: str) -> None:
    """The page's commands, with the tools of this path, send what the order system takes."""
    merchant = world.estate.merchants[0]
    body = {
        "type": "order.exception",
        "timestamp": "2026-11-21T00:00:00.000Z",
        "data": {
            "order_no": "SP20261121007",
            "merchant_id": merchant.merchant_id,
            "order_status": "05",
            "amount_minor": 29_016,
            "currency_code": "156",
            "means": "none",
            "reason": "01",
        },
    }
    given = {
        "secret": merchant.event_secret,
        "url": f"http://{world.addresses['orders']}",
        "body": msgspec.json.encode(body).decode(),
        "PATH": path,
    }
    done = await trio.run_process(["sh", "-euc", example("sh")], capture_stdout=True, env=given)
    assert b"200\n" == done.stdout
    assert "exception" == world.order("SP20261121007").state


async def test_the_curl_example_is_taken_by_a_receiver(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    """A notice signed by hand passes the order system's own check, whatever is installed."""
    for name, lines in STAND_INS.items():
        (tmp_path / name).write_text(f"#!{sys.executable}\n{lines}")
        (tmp_path / name).chmod(0o700)
    async with open_world() as world:
        await check_the_curl_example(world, f"{tmp_path}:/usr/bin:/bin")


if shutil.which("curl") and shutil.which("openssl"):

    async def test_the_curl_example_with_the_installed_tools(open_world: OpenWorld) -> None:
        """The real curl and openssl, where this machine has them."""
        async with open_world() as world:
            await check_the_curl_example(world, os.environ["PATH"])


async def test_a_secret_is_rotated_without_loss(open_world: OpenWorld) -> None:
    """Both secrets sign while the merchant changes over; an unknown one alone only waits."""
    async with open_world() as world:
        known = world.estate.merchants[0].event_secret

        async def sign_with(event_secret: str, *others: str) -> None:
            settings = msgspec.to_builtins((await world.settings()).merchants)
            settings[0] |= {"event_secret": event_secret, "event_secrets": list(others)}
            world.changes["merchants"] = settings
            await world.take_over()

        async def pay(order_no: str, amount_minor: int) -> None:
            terminal = await world.with_courier()
            fields: dict[int, str | bytes] = {4: f"{amount_minor:012d}"}
            items = de59(ON=order_no, OC="C1001")
            reply = await world.ask(terminal.order("0200", "900000", "72", items, fields))
            assert "00" == reply.code

        await sign_with(NEW, known)
        await pay("SP20261121003", 11_528)
        await world.until(lambda: world.order("SP20261121003").state == "paid")
        await sign_with(NEW)
        await pay("SP20261121006", 17_271)
        await world.until(lambda: _refused_before(world))
        assert "to_pay" == world.order("SP20261121006").state
        await sign_with(NEW, known)
        await world.until(lambda: world.order("SP20261121006").state == "paid")


def _refused_before(world: World) -> bool:
    with Database(world.url).read_only_engine().connect() as connection:
        return any(line.attempts for line in event_lines(connection, "pending"))
