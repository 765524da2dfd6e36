"""The example for production in ``docs/configuration.md``, started, with a sale through it."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomli_w
import trio
from certificates import Authority
from configuration_page import PAGE
from limits import HANG_S
from pos_terminal import Line, PosTerminal
from program import Program

from acquirer.config.estate import load_estate
from acquirer.hsm_sim import lmk_store
from acquirer.hsm_sim.lmk import LocalMasterKey
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import pin_under_lmk, wrap_key
from acquirer.hsm_sim.state import Settings
from acquirer.payments.kernel.vault import data_key_with_check
from acquirer.switch.hsm.client import DEK, Hsm
from acquirer.switch.hsm.transport import InProcessTransport
from acquirer.switch.settings import HsmSettings

pytestmark = pytest.mark.anyio

ESTATE = load_estate()
EXAMPLE = PAGE.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
LOOPBACK = "127.0.0.1:0"
# More than anybody but a bank approves.
OVER_FLOOR_MINOR = 25_000
LOOK_S = 0.05
HEADER = HsmSettings().header_length


def new_lmk(folder: Path) -> LocalMasterKey:
    """A production LMK out of two components, in a file under a passphrase."""
    components = [lmk_store.new_component("variant", os.urandom) for _ in range(2)]
    secret = lmk_store.combine("variant", components)
    (folder / "passphrase").write_text("twelve characters and more")
    lmk_store.save(
        folder / "lmk00.json", "variant", secret, "twelve characters and more", os.urandom
    )
    return lmk_store.local_master_key("variant", secret, "00")


def module_file(folder: Path) -> str:
    """The settings of a module with this LMK that takes switches under TLS only."""
    tls = {"certificate": "localhost.pem", "key": "localhost.key", "client_ca": "ca.pem"}
    lmk = {"id": "00", "scheme": "variant", "file": "lmk00.json", "passphrase_file": "passphrase"}
    hsm = {"listen": LOOPBACK, "header_length": HEADER, "lmks": [lmk], "tls": tls}
    (folder / "hsm.toml").write_text(tomli_w.dumps({"hsm": hsm}))
    return str(folder / "hsm.toml")


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[dict[str, str]]:
    """A program of the product, and its ready line."""
    program = Program(*arguments)
    try:
        yield await program.start()
    finally:
        with trio.CancelScope(shield=True):
            await program.end(signal.SIGKILL)


async def keys_of(lmk: LocalMasterKey) -> dict[str, str]:
    """The card data key, as the module makes it."""
    module = SecurityModule({"00": lmk}, settings=Settings(header_length=HEADER))
    hsm = Hsm(InProcessTransport(module.execute, HEADER))
    dek = wrap_key(lmk, DEK, os.urandom(16), "U")
    sealed = await hsm.encipher(dek, data_key_with_check(os.urandom(32)))
    return {"data_key": sealed.hex().upper(), "data_key_dek": dek, "operator_token": "a-token"}


def filled(lmk: LocalMasterKey) -> dict[str, Any]:
    """The example with keys in the place of what is shortened there."""
    document: dict[str, Any] = tomllib.loads(EXAMPLE)
    assert document["stand_in"][0]["floor_limit_minor"] < OVER_FLOOR_MINOR
    for bank in document["banks"]:
        bank["zmk"] = wrap_key(lmk, "000", bytes.fromhex(ESTATE.banks[0].zmk), "U")
    for one in document["terminals"]:
        (known,) = (t for t in ESTATE.terminals if t.terminal_id == one["terminal_id"])
        one["tmk"] = wrap_key(lmk, "002", bytes.fromhex(known.tmk), "U")
    for one in document["couriers"]:
        one["password"] = pin_under_lmk(lmk, "123456", "0" * 12)
    for one in document["merchants"]:
        one["event_secret"] = ESTATE.merchants[0].event_secret
    return document


async def until_ready(http: str) -> None:
    """Wait until ``/readyz`` says yes."""
    async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client:
        with trio.fail_after(HANG_S):
            while True:
                if (await client.get(f"http://{http}/readyz")).status_code == 200:
                    return
                await trio.sleep(LOOK_S)


async def test_the_example_starts_and_a_sale_is_approved(
    tmp_path: Path, empty_postgresql_url: str
) -> None:
    """Two modules and terminals under TLS, two banks, PostgreSQL; only places and keys are ours."""
    authority = Authority(tmp_path)
    authority("localhost")
    authority("switch")
    shutil.copy(tmp_path / "ca.pem", tmp_path / "modules.pem")
    lmk = new_lmk(tmp_path)
    document = filled(lmk) | await keys_of(lmk)
    hsm_file = module_file(tmp_path)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        modules = [await enter(running("hsm", "--config", hsm_file)) for _ in range(2)]
        places = [f"localhost:{one['hsm'].rpartition(':')[2]}" for one in modules]
        for bank in document["banks"]:
            data = str(tmp_path / bank["name"])
            ready = await enter(
                running("bank-sim", "--data", data, "--listen", LOOPBACK, "--security", "zone")
            )
            for link in bank.get("links", [bank]):
                link["address"] = ready["bank"]
        document["hsm"] |= {"address": places[0], "standby": places[1:]}
        document["listen"] |= {"pos": LOOPBACK, "http": LOOPBACK}
        document["database"]["url"] = empty_postgresql_url
        file = tmp_path / "switch.toml"
        file.write_text(tomli_w.dumps(document))
        assert "…" not in file.read_text()
        serve = await enter(running("serve", "--config", str(file)))
        await until_ready(serve["http"])
        assert await sold(tmp_path, serve["pos"]) == "00"


async def sold(folder: Path, address: str) -> str:
    """The response code of a sale by the example's terminal, under TLS."""
    host, _, port = address.rpartition(":")
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    stream = trio.SSLStream(
        await trio.open_tcp_stream(host, int(port)), trust, server_hostname="switch"
    )
    known = ESTATE.terminals[0]
    pos = PosTerminal(known.terminal_id, known.merchant_id, bytes.fromhex(known.tmk))
    card = next(one for one in ESTATE.cards if one.pan.startswith("622588") and not one.status)
    async with Line(stream) as line:
        pos.take_keys(await line.ask(pos.sign_on("003")))
        return (await line.ask(pos.sale(card, OVER_FLOOR_MINOR))).code
