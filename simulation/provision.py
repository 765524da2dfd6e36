"""From an estate file to the configuration of every program of ``acquirer up``.

Does once what an operator does at a security module: clear test keys and passwords of the estate
become cryptograms under the published test LMK. Only such cryptograms reach the data folder.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
import trio

from acquirer.config.addresses import parse_address
from acquirer.config.estate import Bank, Estate, Profile, load_estate
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.module import published_lmks
from acquirer.hsm_sim.operator import pin_under_lmk, variant_test_lmk, wrap_key
from acquirer.hsm_sim.state import Settings
from acquirer.payments.kernel.vault import DATA_KEY_BYTES, data_key_with_check
from acquirer.switch.hsm.client import DEK, Hsm
from acquirer.switch.hsm.transport import TcpTransport

ZERO_ACCOUNT = "0" * 12
HEADER_LENGTH = 8
TOKEN_BYTES = 32
LOOPBACK = "127.0.0.1"
ORDER_HOST = "order-host"
# The published AES key block LMK, under which AES base keys stand.
AES_LMK = "02"


@dataclass(frozen=True, slots=True)
class BankChoice:
    """Which bank core ``up`` uses.

    Attributes:
        address: of a bank core that runs elsewhere, or empty for the simulator.
    """

    address: str = ""
    dialect: str = "iso87_ascii"
    security: str = "zone"
    timeout_s: float = 3.0


async def new_data_key(hsm_address: str) -> dict[str, str]:
    """A card data key, made here and enciphered by the security module at this address.

    Args:
        hsm_address: ``host:port`` or ``unix:/path``.

    Returns:
        ``data_key`` and ``data_key_dek`` for the switch's file.

    Raises:
        HsmRefused, HsmUnavailable: the module did not do it.
    """
    async with trio.open_nursery() as nursery:
        transport = TcpTransport(
            nursery,
            parse_address(hsm_address),
            connections=1,
            header_length=HEADER_LENGTH,
            deadline_s=5.0,
        )
        hsm = Hsm(transport)
        dek = await hsm.generate_key(DEK)
        data_key = await hsm.encipher(dek, data_key_with_check(os.urandom(DATA_KEY_BYTES)))
        transport.close()
        nursery.cancel_scope.cancel()
    return {"data_key": data_key.hex().upper(), "data_key_dek": dek}


def new_operator_token() -> str:
    """What operator commands show to the switch of this folder."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def switch_config(
    estate: Estate,
    *,
    pos: str,
    http: str,
    hsm: str,
    bank: str,
    orders: str,
    choice: BankChoice,
    database_url: str,
    data_key: dict[str, str],
    order_host: str = "",
) -> dict[str, Any]:
    """The switch's configuration; keys and passwords under the test LMK.

    Args:
        orders: URL of the order system.
        order_host: where merchants with an order host are asked; empty asks them over HTTP too.
    """
    lmk = variant_test_lmk(test_lmk=True)

    def key(key_type: str, clear: str) -> str:
        return wrap_key(lmk, key_type, bytes.fromhex(clear), "U" if len(clear) == 32 else "Z")

    return {
        "instance": "switch-1",
        "business_day": msgspec.to_builtins(estate.business_day or load_estate().business_day),
        **data_key,
        "database": {"url": database_url},
        "listen": {"pos": pos, "http": http},
        "hsm": {"transport": "tcp", "address": hsm, "header_length": HEADER_LENGTH},
        "banks": [
            {
                "name": b.name,
                "address": bank,
                "acquirer_id": b.acquirer_id,
                "dialect": choice.dialect,
                "security": choice.security,
                "zmk": key("000", b.zmk),
                "zpk": key("001", b.zpk),
                "timeout_s": choice.timeout_s,
            }
            for b in estate.banks
        ],
        "routes": [{"bank": b.name, "bins": b.bins} for b in estate.banks],
        **_order_systems(estate, orders, order_host, key),
        "merchants": [
            {
                "merchant_id": m.merchant_id,
                "name": m.name,
                "mcc": m.mcc,
                "mdr_basis_points": m.mdr_basis_points,
                "event_secret": m.event_secret,
                "currency_code": m.currency_code,
                "cod_basis_points": m.cod_basis_points,
                "cod_fixed_minor": m.cod_fixed_minor,
                "refund_fee": m.refund_fee,
                "refund": m.refund,
                "blind_refund": m.blind_refund,
                "refund_days": m.refund_days,
                "offline_sale": m.offline_sale,
                "keyed": m.keyed,
                "moto": m.moto,
                "plans": m.plans,
                "preauth_days": m.preauth_days,
                "completion_over_percent": m.completion_over_percent,
                "tip_percent_max": m.tip_percent_max,
                "fallback": m.fallback,
                "debt_limit_minor": m.debt_limit_minor,
                "order_text": m.order_text,
                "ask": m.ask,
            }
            for m in estate.merchants
        ],
        "profiles": [
            {
                "name": p.name,
                "key_scheme": p.key_scheme,
                "mac": p.mac,
                "encoding": p.encoding,
                "mac_key": p.mac_key,
                **_base_keys(p, key),
                "settlement_mac": p.settlement_mac,
                "batch_days": p.batch_days,
            }
            for p in estate.profiles
        ],
        "terminals": [
            {
                "terminal_id": t.terminal_id,
                "merchant_id": t.merchant_id,
                "tmk": key("002", t.tmk) if t.tmk else "",
                "profile": t.profile,
                "ksn": t.ksn,
            }
            for t in estate.terminals
        ],
        "order_types": [
            {key: value for key, value in msgspec.to_builtins(t).items() if value is not None}
            for t in estate.order_types
        ],
        "instalment_plans": msgspec.to_builtins(estate.instalment_plans),
        "operators": [
            {
                "name": o.name,
                "token_sha256": sha256(o.token.encode()).hexdigest(),
                "roles": o.roles,
            }
            for o in estate.operators
        ],
        "couriers": [
            {
                "courier_id": c.courier_id,
                "merchant_id": c.merchant_id,
                "password": pin_under_lmk(lmk, c.password, ZERO_ACCOUNT),
                "station": c.station,
                **({} if c.cash_limit_minor is None else {"cash_limit_minor": c.cash_limit_minor}),
            }
            for c in estate.couriers
        ],
    }


def _base_keys(profile: Profile, key: Callable[[str, str], str]) -> dict[str, str]:
    """What a profile with derived keys needs; the PINs' own ZPK is made of the base key."""
    if profile.key_scheme == "tmk":
        return {}
    transit = sha256(f"{profile.name} PINs {profile.bdk}".encode()).hexdigest()[:32]
    if profile.key_scheme == "dukpt_tdes":
        return {"bdk": key("609", profile.bdk), "pin_zpk": key("001", transit)}
    blocks = published_lmks(Settings(test_lmk=True), _zeros)[AES_LMK]
    header = BlockHeader("B0", "A", "X", "00", "N")
    bdk = wrap_key(blocks, "009", bytes.fromhex(profile.bdk), "S", header)
    block = wrap_key(blocks, "001", bytes.fromhex(transit), "S")
    return {
        "bdk": bdk,
        "bdk_lmk": AES_LMK,
        "pin_zpk": key("001", transit),
        "pin_zpk_block": block,
    }


def _zeros(size: int) -> bytes:
    """Filling of key blocks that is the same each time."""
    return bytes(size)


def _order_systems(
    estate: Estate, orders: str, order_host: str, key: Callable[[str, str], str]
) -> dict[str, Any]:
    over_http = {"name": "orders", "url": orders}
    hosted = [merchant.merchant_id for merchant in estate.merchants if merchant.order_host]
    if not (order_host and hosted):
        return {"order_systems": [over_http]}
    bank = only_bank(estate)
    host = {
        "name": ORDER_HOST,
        "address": order_host,
        "acquirer_id": bank.acquirer_id,
        "dialect": "order_host",
        "security": "zone",
        "zmk": key("000", bank.zmk),
    }
    over_iso = {"name": ORDER_HOST, "host": ORDER_HOST, "merchants": hosted}
    return {"order_hosts": [host], "order_systems": [over_iso, over_http]}


def write_config(path: Path, document: dict[str, Any]) -> None:
    """Replace a TOML file whole, readable by its owner only; a key that is None is left out."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        tomli_w.dump(without_none(document), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def without_none(value: Any) -> Any:
    """What TOML can hold of a document: a key that is None is left out."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def only_bank(estate: Estate) -> Bank:
    """The estate's one bank core, which ``up`` serves or is pointed to."""
    return estate.banks[0]
