"""Host commands: one module per family, and here the table from command code to handler.

A handler takes the body's cursor and gives the reply's fields; see :mod:`.reply`. To add a command,
write the handler in its family's module and enter it below.
"""

from __future__ import annotations

from acquirer.hsm_sim.commands import (
    card_values,
    check_values,
    encryption,
    keys,
    legacy_keys,
    macs,
    pin_verification,
    pins,
    status,
)
from acquirer.hsm_sim.commands.reply import Advisory, Command, Handler
from acquirer.hsm_sim.key_types import BDK, CVK, TAK, TERMINAL_KEY, TMK, TPK, ZMK, ZPK

__all__ = ["COMMANDS", "Advisory", "Command", "Handler"]

COMMANDS: dict[str, Command] = {
    "A0": Command("Generate a key", keys.generate),
    "A4": Command("Form a key from components", keys.form_from_components),
    "A6": Command("Import a key", keys.import_key),
    "A8": Command("Export a key", keys.export_key),
    "AE": Command("TMK, TPK or PVK from LMK to TMK", legacy_keys.from_lmk(TERMINAL_KEY, TMK)),
    "AG": Command("TAK from LMK to TMK", legacy_keys.from_lmk(TAK, TMK)),
    "AU": Command("CVK from LMK to ZMK", legacy_keys.from_lmk(CVK)),
    "AW": Command("CVK from ZMK to LMK", legacy_keys.to_lmk(CVK)),
    "B2": Command("Echo", status.echo),
    "BA": Command("Encrypt a clear PIN", pins.enter),
    "BC": Command("Compare a terminal PIN", pins.compare(TPK)),
    "BE": Command("Compare an interchange PIN", pins.compare(ZPK)),
    "BI": Command("Generate a BDK", legacy_keys.generate_bdk),
    "BU": Command("Key check value", check_values.check_value),
    "BY": Command("ZMK from ZMK to LMK", legacy_keys.to_lmk(ZMK)),
    "CA": Command("Translate a PIN from TPK to ZPK", pins.translate(TPK)),
    "CC": Command("Translate a PIN from ZPK to ZPK", pins.translate(ZPK)),
    "CW": Command("Make a card verification value", card_values.generate),
    "CY": Command("Verify a card verification value", card_values.verify),
    "DA": Command("Verify a terminal PIN by IBM 3624", pin_verification.verify_ibm(TPK)),
    "DC": Command("Verify a terminal PIN by PVV", pin_verification.verify_pvv(TPK)),
    "DW": Command("BDK from ZMK to LMK", legacy_keys.to_lmk(BDK)),
    "DY": Command("BDK from LMK to ZMK", legacy_keys.from_lmk(BDK)),
    "EA": Command("Verify an interchange PIN by IBM 3624", pin_verification.verify_ibm(ZPK)),
    "EC": Command("Verify an interchange PIN by PVV", pin_verification.verify_pvv(ZPK)),
    "FA": Command("ZPK from ZMK to LMK", legacy_keys.to_lmk(ZPK)),
    "FC": Command("TMK, TPK or PVK from ZMK to LMK", legacy_keys.to_lmk(TERMINAL_KEY)),
    "FE": Command("TMK, TPK or PVK from LMK to ZMK", legacy_keys.from_lmk(TERMINAL_KEY)),
    "FI": Command("Generate a ZEK or ZAK", legacy_keys.generate_zek_or_zak),
    "FK": Command("ZEK or ZAK from ZMK to LMK", legacy_keys.zek_or_zak_to_lmk),
    "FM": Command("ZEK or ZAK from LMK to ZMK", legacy_keys.zek_or_zak_from_lmk),
    "GC": Command("ZPK from LMK to ZMK", legacy_keys.from_lmk(ZPK)),
    "HA": Command("Generate a TAK", legacy_keys.generate(TAK, TMK, with_kcv=False)),
    "HC": Command("Generate a TMK, TPK or PVK", legacy_keys.generate(TPK, TMK, with_kcv=False)),
    "IA": Command("Generate a ZPK", legacy_keys.generate(ZPK, ZMK, with_kcv=True)),
    "JA": Command("Generate a random PIN", pins.random_pin),
    "JC": Command("Translate a PIN from TPK to LMK", pins.to_lmk(TPK)),
    "JE": Command("Translate a PIN from ZPK to LMK", pins.to_lmk(ZPK)),
    "JG": Command("Translate a PIN from LMK to ZPK", pins.from_lmk),
    "KA": Command("Key check value, legacy form", check_values.check_value_legacy),
    "M0": Command("Encrypt data", encryption.encrypt),
    "M2": Command("Decrypt data", encryption.decrypt),
    "M4": Command("Translate data", encryption.translate),
    "M6": Command("Make a MAC", macs.generate),
    "M8": Command("Verify a MAC", macs.verify),
    "MA": Command("Make a MAC by X9.9", macs.generate_x99),
    "MC": Command("Verify a MAC by X9.9", macs.verify_x99),
    "ME": Command("Verify and translate a MAC by X9.9", macs.translate_x99),
    "MG": Command("TAK from LMK to ZMK", legacy_keys.from_lmk(TAK)),
    "MI": Command("TAK from ZMK to LMK", legacy_keys.to_lmk(TAK)),
    "MS": Command("Make a MAC by X9.19, large messages", macs.large_x919),
    "N0": Command("Generate a random value", status.random_value),
    "NC": Command("Diagnostics", status.diagnostics),
    "NO": Command("Module status", status.status),
    "RA": Command("Cancel the authorised state", status.cancel_authorised_state),
}
