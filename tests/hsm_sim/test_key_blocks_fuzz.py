"""Key blocks of every kind at any place of any request."""

from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.commands import COMMANDS
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import ERROR_TEXTS
from acquirer.hsm_sim.key_types import ANY_KEY
from acquirer.hsm_sim.module import SecurityModule, reply_code
from acquirer.hsm_sim.state import Settings

CLEAR = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
AES_CLEAR = bytes(range(16, 48))
FUZZED = SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True))
BLOCKS = [
    FUZZED.state.lmks[lmk_id].wrap(ANY_KEY, CLEAR, "S", BlockHeader(usage, "T", "N", "00", "S"))
    for lmk_id in ("01", "02")
    for usage in ("72", "71", "52", "M3", "D0", "C0", "B0", "E0")
]
AES_BLOCKS = [
    FUZZED.state.lmks["02"].wrap(ANY_KEY, AES_CLEAR, "S", BlockHeader(usage, "A", "N", "00", "S"))
    for usage in ("72", "71", "52", "M6", "D0", "B0")
]
pieces = st.sampled_from(
    [*BLOCKS, *AES_BLOCKS, "FFF", "001", "S", "R", "X", ";", ";1", "0", "1", "12", "01", "48",
     "0010", "%01", "%02", "#72T2B00E00", "#22A1B00S01KS08ABCD", "&E", "\x19x", "F", "FF",
     "400000123456", "4000001234567890;", "0123456789ABCDEF", "0123456789ABCDEF" * 2,
     "FFFF9876543210E00001", "A05"]
)  # fmt: skip


@given(
    st.sampled_from(sorted(COMMANDS)),
    st.lists(pieces | st.text(st.characters(max_codepoint=255), max_size=8), max_size=14),
    st.sampled_from(["", "%01", "%02", "%01#72T2B00E00", "#72T2B00E00%02&N"]),
)
def test_no_request_is_an_internal_error(command: str, parts: list[str], tail: str) -> None:
    """Key blocks of every kind at any place give a reply with a code of the list."""
    reply = FUZZED.execute((command + "".join(parts) + tail).encode("latin-1")).decode("latin-1")
    assert reply[:2] == reply_code(command)
    assert reply[2:4] == "00" or (reply[2:4] in ERROR_TEXTS and reply[2:4] != "41")
