"""Why a key or a command was refused, in words, for the operator.

Nothing here prints a key, a PIN or clear data: of a key it tells its form, what its block says, its
check value and which roles it serves. Requests are carried out on the module that is given.
"""

from __future__ import annotations

from dataclasses import dataclass

from acquirer.hsm_sim.command_layouts import LAYOUTS, reply_fields
from acquirer.hsm_sim.commands import COMMANDS, chain
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.block_header import BlockHeader, read_header
from acquirer.hsm_sim.crypto.errors import CryptoError, KeyBlockError
from acquirer.hsm_sim.errors import ERROR_TEXTS, Refusal
from acquirer.hsm_sim.key_attributes import EXPORTABILITIES, MODES, USAGES
from acquirer.hsm_sim.key_transport import receive
from acquirer.hsm_sim.key_types import ANY_KEY, KEY_TYPES, ZMK, KeyRole
from acquirer.hsm_sim.lmk import LocalMasterKey, WorkingKey
from acquirer.hsm_sim.module import SecurityModule

TITLES = {code: command.title for code, command in COMMANDS.items()} | {chain.CODE: chain.TITLE}
"""What each command does, in a few words."""

_ALGORITHMS = {"D": "DES", "T": "triple DES", "A": "AES"}
_FORMS = {
    "": "no scheme letter",
    "Z": "scheme Z: single length",
    "U": "scheme U: double length with scheme variants",
    "T": "scheme T: triple length with scheme variants",
    "X": "scheme X: double length, X9.17",
    "Y": "scheme Y: triple length, X9.17",
    "S": "scheme S: Thales key block",
    "R": "scheme R: TR-31 key block",
}
_HINTS = {
    "01": "The values differ: compare key, data, account number and format with the other side's.",
    "04": "Type codes are a variant digit and a pair code, such as 001; FFF is for key blocks.",
    "10": "The key was made under another LMK or for another key type; explain it without a type.",
    "11": "The second key was made under another LMK or for another key type.",
    "13": "The % part names an LMK that is not loaded.",
    "15": "A field is too short, too long or of other characters than the layout asks for.",
    "17": "Name the activity in hsm.authorised, or have the operator do it: acquirer hsm key.",
    "20": "The PIN key, the format code or the account number is not the one of the other side.",
    "23": "Format codes are two digits: 01 ISO-0, 05 ISO-1, 34 ISO-2, 47 ISO-3, 48 ISO-4.",
    "26": "Variant LMKs take none, Z, U, T, X, Y; key block LMKs take S.",
    "27": "Single keys go with Z, double with U or X, triple with T or Y.",
    "39": "Wait until the account's wrong PINs are forgotten, or present the right PIN later.",
    "68": "The command is unknown here or disabled.",
    "69": "The policy does not let a PIN pass to a weaker format, or away from its account.",
    "75": "A double-length key with equal halves is a single key; ask the sender for a real one.",
    "A1": "The key stands under another kind of LMK: choose the LMK with % and its id.",
    "A4": "The key block was damaged, or made under another LMK or ZMK.",
    "A6": "The key block names a usage that this command or type does not take.",
    "A8": "The key's mode of use does not allow what the command does with it.",
    "A9": "A block of version c and a number is a component: form the key from all of them (A4).",
    "AA": "N never leaves, E leaves in key blocks only, S in any form.",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the operator is told.

    Attributes:
        accepted: whether the key opened, or the command was carried out.
        facts: names and values, in the order to show them.
    """

    accepted: bool
    facts: tuple[tuple[str, str], ...]


def explain_command(module: SecurityModule, request: bytes) -> Explanation:
    """Carry a command out and say what came of it.

    Args:
        module: carries it out.
        request: command code and body, without header.
    """
    size = module.state.settings.header_length
    module.last_refusal = None
    reply = module.execute(b"0" * size + request).decode("latin-1")[size:]
    command, code = request[:2].decode("latin-1"), reply[2:4]
    title = TITLES.get(command)
    facts = [("command", f"{command}: {title}" if title else f"{command!r}: unknown")]
    facts.append(("error code", f"{code}: {ERROR_TEXTS.get(code, 'no errors')}"))
    refusal: Refusal | None = module.last_refusal
    if refusal is not None:
        facts.append(("reason", refusal.reason))
    if code in _HINTS:
        facts.append(("hint", _HINTS[code]))
    if refusal is not None and command in LAYOUTS:
        facts.append(("request layout", LAYOUTS[command].request))
    accepted = refusal is None and title is not None
    if accepted:
        facts += reply_fields(command, reply[4:].partition("\x19")[0])
    return Explanation(accepted, tuple(facts))


def explain_key(
    lmk: LocalMasterKey, text: str, role: KeyRole | None = None, zmk: str = ""
) -> Explanation:
    """Say what a key is, whether it opens, and what it may serve for.

    Args:
        lmk: the LMK to try.
        text: the key in any scheme.
        role: the role it is wanted in; None to learn which roles it serves.
        zmk: key text of a ZMK under the LMK, for a key that stands under that.
    """
    letter = text[:1] if text[:1] in _FORMS else ""
    facts = [("form", _FORMS[letter])]
    if letter in ("S", "R"):
        facts += _block_facts(text)
    if zmk:
        return _under_zmk(lmk, text, zmk, facts)
    if letter == "R":
        facts.append(("refused", "a TR-31 block stands under a ZMK, not under an LMK"))
        return Explanation(False, tuple(facts))
    wanted = role or (ANY_KEY if lmk.uses_blocks else None)
    if wanted is None:
        return _candidates(lmk, text, facts)
    try:
        key = lmk.key((wanted, text))
    except (Refusal, CryptoError) as refusal:
        return Explanation(False, (*facts, *_refused(refusal)))
    facts.append(("length", f"{len(key.clear) * 8} bits"))
    facts.append(("KCV", key.kcv()))
    if key.algorithm == "T" and lmk.uses_blocks:
        facts.append(("parity", "odd" if des.has_odd_parity(key.clear) else "not odd"))
    facts.append(("serves as", ", ".join(_served(key.header)) or wanted.name))
    return Explanation(True, tuple(facts))


def _under_zmk(
    lmk: LocalMasterKey, text: str, zmk: str, facts: list[tuple[str, str]]
) -> Explanation:
    try:
        received = receive(lmk.key((ZMK, zmk)), text)
    except (Refusal, CryptoError) as refusal:
        return Explanation(False, (*facts, *_refused(refusal)))
    key = WorkingKey(received.clear, "", received.header)
    facts.append(("length", f"{len(key.clear) * 8} bits"))
    facts.append(("KCV", key.kcv()))
    if not received.is_aes:
        facts.append(("parity", "was not odd: mended (advisory 01)" if received.mended else "odd"))
    return Explanation(True, tuple(facts))


def _candidates(lmk: LocalMasterKey, text: str, facts: list[tuple[str, str]]) -> Explanation:
    """The key types of a variant LMK under which a key has odd parity."""
    found: list[str] = []
    last: Refusal | None = None
    for code, role in KEY_TYPES.items():
        if role is ANY_KEY:
            continue
        try:
            key = lmk.key((role, text))
        except Refusal as refusal:
            last = refusal
        else:
            found.append(f"{code} {role.name} (KCV {key.kcv()})")
    if not found:
        reason = last or Refusal("10", "it opens under no key type")
        if reason.code == "10":
            reason = Refusal("10", "its parity is odd under no key type of this LMK")
        return Explanation(False, (*facts, *_refused(reason)))
    facts.append(("parity is odd as", "; ".join(found)))
    return Explanation(True, tuple(facts))


def _block_facts(text: str) -> list[tuple[str, str]]:
    try:
        header, _ = read_header(text[1:])
    except KeyBlockError as error:
        return [("header", f"cannot be read ({error.code}): {error}")]
    usage = USAGES.get(header.usage)
    shown = [
        ("block version", text[1]),
        ("usage", f"{header.usage}: {usage.name if usage else 'not kept here'}"),
        ("algorithm", f"{header.algorithm}: {_ALGORITHMS.get(header.algorithm, 'unknown')}"),
        ("mode of use", f"{header.mode}: {MODES.get(header.mode, 'unknown')}"),
        ("key version", header.version),
        (
            "exportability",
            f"{header.exportability}: {EXPORTABILITIES.get(header.exportability, 'unknown')}",
        ),
    ]
    if text[0] == "S":
        shown.append(("LMK id", "FF: under a ZMK" if text[15:17] == "FF" else text[15:17]))
    for name, _value in header.optional:
        shown.append(("optional block", name))
    return shown


def _served(header: BlockHeader | None) -> list[str]:
    """Names of the roles that take keys of a block's usage."""
    if header is None:
        return []
    return [
        role.name
        for role in KEY_TYPES.values()
        if header.usage in role.usages and header.algorithm in role.algorithms
    ]


def _refused(refusal: Refusal | CryptoError) -> list[tuple[str, str]]:
    code = getattr(refusal, "code", "27")
    said = [("refused", f"{code}: {ERROR_TEXTS.get(code, '')}"), ("reason", str(refusal))]
    return said + ([("hint", _HINTS[code])] if code in _HINTS else [])
