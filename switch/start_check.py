"""Everything that a start needs, tried without starting: ``acquirer serve --check``.

Reads the file, asks every security module for the data key and for the check value of every key,
looks at certificates, addresses and the database, and tells all that is wrong at once. Changes
nothing: no books are made or migrated, and no bank is connected to, since it would see a link come
and go. Source: docs/production.md.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import trio

from acquirer.config.loading import ConfigError, split_address
from acquirer.config.tls import TlsSettings, client_context, expired, server_context
from acquirer.ledger.errors import SchemaError
from acquirer.ledger.reports.state import NOTHING, look_at_books
from acquirer.ledger.store.configuration import StoredConfiguration
from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable
from acquirer.routing.errors import BankSettingsError
from acquirer.routing.orders.settings import parse_origin
from acquirer.routing.settings import BankSettings, host_and_port
from acquirer.switch.configuration.changes import configuration_of
from acquirer.switch.configuration.checks import FILE_TABLES, configuration_faults, process_faults
from acquirer.switch.configuration.kinds import ConfigKind, Configuration
from acquirer.switch.hsm.client import ZMK, ZPK, Hsm
from acquirer.switch.hsm.key_checks import NamedKey, checked_keys, terminal_keys
from acquirer.switch.hsm.modules import (
    Execute,
    data_key_proof,
    named_modules,
    open_wire,
    sealed_data_key,
)
from acquirer.switch.hsm.transport import HsmTransport, InProcessTransport
from acquirer.switch.settings import SwitchSettings

ADDRESS_S = 5.0
DATABASE_S = 15.0
BANK_KEY_CURE = "form it of the bank's components: `acquirer hsm key components`"


@dataclass(frozen=True, slots=True)
class Tried:
    """One thing that was tried.

    Attributes:
        place: key of the configuration, such as ``banks[0].zmk``.
        what: what was tried, or what is good about it.
        fault: what is wrong, and what to do about it; empty where nothing is.
        warning: what a start serves all the same, and should not in production; empty for nothing.
    """

    place: str
    what: str
    fault: str = ""
    warning: str = ""


async def try_start(
    settings: SwitchSettings, file: str, execute: Execute | None, *, whole: bool = True
) -> list[Tried]:
    """Try everything.

    Args:
        settings: the configuration.
        file: its name, for messages about it.
        execute: the embedded security module, where the transport is in_process.
        whole: whether the settings are all that the file says; if not, what refers to something
            that is not there is not told, since it may be what could not be read.
    """
    tried = [Tried(fault.place, "process settings", fault.reason) for fault in _process(settings)]
    books, stored = await _books(settings)
    tried.append(books)
    configuration, names = Configuration.of_file(settings), dict(FILE_TABLES)
    if stored.epoch:
        configuration, faults = configuration_of(stored)
        tried += [Tried(fault.place, "the books' configuration", fault.reason) for fault in faults]
        names = {}
    if whole:
        tried += [
            Tried(fault.place, "business configuration", fault.reason)
            for fault in configuration_faults(settings, configuration, names)
        ]
    tried += await _modules(settings, file, execute, configuration, names)
    tried += _certificates(settings)
    tried += _warnings(settings)
    tried += await _addresses(settings, configuration)
    tried += await _ports(settings, file)
    return tried


def _process(settings: SwitchSettings) -> Iterator[Any]:
    # The terminals' certificates are told with the others.
    return (fault for fault in process_faults(settings) if fault.place != "listen.tls")


def _warnings(settings: SwitchSettings) -> Iterator[Tried]:
    for index, profile in enumerate(settings.profiles):
        if not profile.settlement_mac:
            yield Tried(
                f"profiles[{index}].settlement_mac",
                f"settlement of terminals of profile {profile.name}",
                warning="anybody may settle their batches; true asks for a MAC of each settlement",
            )


async def _books(settings: SwitchSettings) -> tuple[Tried, StoredConfiguration]:
    place, what = "database.url", "the books"
    database = settings.database
    with trio.move_on_after(DATABASE_S):
        try:
            state = await trio.to_thread.run_sync(
                lambda: look_at_books(database.url, may_create=database.create),
                abandon_on_cancel=True,
            )
        except SchemaError as error:
            return Tried(place, what, str(error)), NOTHING
        return Tried(place, f"{what}: {state.found}"), state.configuration
    reason = f"the database does not answer within {DATABASE_S:.0f} s; does it run, is it right?"
    return Tried(place, what, reason), NOTHING


async def _modules(
    settings: SwitchSettings,
    file: str,
    execute: Execute | None,
    configuration: Configuration,
    names: Mapping[ConfigKind, str],
) -> list[Tried]:
    """Every module with the data key; then all other keys, in the first that answers."""
    tried: list[Tried] = []
    keys = [*bank_keys(settings), *terminal_keys(configuration, names)]
    if not settings.data_key or not settings.data_key_dek:
        cure = "`acquirer init` makes one in the module, for a switch without books"
        tried.append(Tried("data_key", "the card data key", f"is missing; {cure}"))
    answering: list[Hsm] = []
    modules = named_modules(settings.hsm)[: 1 if execute else None]
    async with trio.open_nursery() as nursery:
        for key, address in modules:
            what = f"security module {address}"
            try:
                wire: HsmTransport = (
                    InProcessTransport(execute, settings.hsm.header_length)
                    if execute
                    else open_wire(settings.hsm, key, nursery, file)
                )
                what = f"{what}, firmware {await Hsm(wire).status()}"
                answering.append(Hsm(wire))
                tried.append(Tried(key, what, await _opens(settings, file, wire)))
            except ConfigError as error:
                tried.append(Tried(error.key, what, error.reason))
            except (HsmUnavailable, HsmRefused) as error:
                cure = "start it, or mend its address, TLS or header length"
                tried.append(Tried(key, what, f"{error}; {cure}"))
        tried += await _keys(answering[0], keys) if answering else _untried(keys)
        nursery.cancel_scope.cancel()
    return tried


async def _keys(hsm: Hsm, keys: list[NamedKey]) -> list[Tried]:
    try:
        return [
            Tried(one.place, f"{one.what}, check value {kcv}" if kcv else one.what, fault)
            for one, kcv, fault in await checked_keys(hsm, keys)
        ]
    except HsmUnavailable as error:
        return [Tried("hsm", "keys of banks and terminals", f"{error}; try again")]


def _untried(keys: list[NamedKey]) -> list[Tried]:
    reason = f"{len(keys)} could not be tried, since no security module answers"
    missing = [Tried(one.place, one.what, f"is missing; {one.cure}") for one in keys if not one.key]
    return [*missing, Tried("hsm", "keys of banks and terminals", reason)]


async def _opens(settings: SwitchSettings, file: str, wire: HsmTransport) -> str:
    """What is wrong with the data key in a module; empty where it opens."""
    if not settings.data_key or not settings.data_key_dek:
        return ""
    proof = data_key_proof(settings.data_key_dek, sealed_data_key(settings, file))
    if proof.holds(await wire.call(proof.command)):
        return ""
    return (
        "data_key does not open in it; load the local master key that it was made under "
        "(`acquirer hsm lmk show-kcv` tells keys apart)"
    )


def bank_keys(settings: SwitchSettings) -> Iterator[NamedKey]:
    """The keys of all links that must be there, and those that are there without need."""
    for table, banks in (("banks", settings.banks), ("order_hosts", settings.order_hosts)):
        for index, bank in enumerate(banks):
            place, zone = f"{table}[{index}]", bank.security == "zone"
            if zone or bank.zmk:
                what = f"{bank.name}'s zone master key"
                yield NamedKey(f"{place}.zmk", what, bank.zmk, ZMK, BANK_KEY_CURE)
            # An order host is sent no PIN.
            if bank.zpk or (table == "banks" and not zone):
                what = f"{bank.name}'s zone PIN key"
                cure = f'{BANK_KEY_CURE} --type {ZPK}, or agree on security = "zone"'
                yield NamedKey(f"{place}.zpk", what, bank.zpk, ZPK, cure)


def _certificates(settings: SwitchSettings) -> list[Tried]:
    now = datetime.now(UTC)
    found: list[Tried] = []
    for place, tls, listens in _each_tls(settings):
        what = f"certificate {tls.certificate}" if tls.certificate else "authorities"
        try:
            server_context(tls) if listens else client_context(tls)
            found.append(Tried(place, what, expired(tls, now)))
        except OSError as error:
            found.append(Tried(place, what, f"{error}; put it there, or mend the name"))
    return found


def _each_tls(settings: SwitchSettings) -> Iterator[tuple[str, TlsSettings, bool]]:
    if settings.listen.tls:
        yield "listen.tls", settings.listen.tls, True
    if settings.hsm.tls:
        yield "hsm.tls", settings.hsm.tls, False
    for place, _, bank in _each_bank(settings):
        if bank.tls:
            yield f"{place}.tls", bank.tls, False
        for number, link in enumerate(bank.links):
            if link.tls:
                yield f"{place}.links[{number}].tls", link.tls, link.mode == "listen"


def _each_bank(settings: SwitchSettings) -> Iterator[tuple[str, str, BankSettings]]:
    for table, word, banks in (
        ("banks", "bank", settings.banks),
        ("order_hosts", "order host", settings.order_hosts),
    ):
        for index, bank in enumerate(banks):
            yield f"{table}[{index}]", f"{word} {bank.name}", bank


async def _addresses(settings: SwitchSettings, configuration: Configuration) -> list[Tried]:
    """Whether names of banks and order systems resolve; nobody is connected to."""
    found: list[Tried] = []
    for place, what, bank in _each_bank(settings):
        for number, link in enumerate(bank.each_link()):
            at = f"{place}.links[{number}].address" if bank.links else f"{place}.address"
            try:
                host, port = host_and_port(link.address, bank.name)
            except BankSettingsError:
                continue  # told with the process settings
            found.append(await _resolved(at, f"{what} at {link.address}", host, port))
    for index, system in enumerate(configuration.order_systems):
        if system.url:
            origin = parse_origin(system.url)
            at = f"order_systems[{index}].url"
            what = f"order system {system.name} at {system.url}"
            found.append(await _resolved(at, what, origin.host, origin.port))
    return found


async def _resolved(place: str, what: str, host: str, port: int) -> Tried:
    with trio.move_on_after(ADDRESS_S):
        try:
            await trio.socket.getaddrinfo(host, port)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            cure = "mend the name, or the machine's name service"
            return Tried(place, what, f"{host} does not resolve: {reason}; {cure}")
        return Tried(place, what)
    return Tried(place, what, f"{host} does not resolve within {ADDRESS_S:.0f} s")


async def _ports(settings: SwitchSettings, file: str) -> list[Tried]:
    found = []
    for place, what, address in (
        ("listen.pos", "terminals' port", settings.listen.pos),
        ("listen.http", "port of health, metrics and operators", settings.listen.http),
    ):
        try:
            host, port = split_address(address, file, place)
            note = await _bound(host, port)
            found.append(Tried(place, f"{what} {address}{note}"))
        except ConfigError as error:
            found.append(Tried(place, what, error.reason))
        except OSError as error:
            reason = f"cannot listen on {address}: {error.strerror or error}"
            cure = "name an address of this machine and a port that you may use"
            found.append(Tried(place, what, f"{reason}; {cure}"))
    return found


async def _bound(host: str, port: int) -> str:
    try:
        for listener in await trio.open_tcp_listeners(port, host=host):
            await listener.aclose()
    except OSError as error:
        # A switch that runs already holds it; then this is its next configuration.
        if error.errno != errno.EADDRINUSE:
            raise
        return ", in use now: by the running switch?"
    return ""
