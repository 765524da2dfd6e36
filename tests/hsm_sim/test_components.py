"""Components in key blocks: what A4 makes of them, and that nothing else takes one."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psec
import pytest

from acquirer.hsm_sim.crypto import des, thales_block
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.explain import explain_key
from acquirer.hsm_sim.key_types import ANY_KEY, ZMK
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import translate_key
from acquirer.hsm_sim.state import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Send = Callable[[str], str]
PARTS = [des.odd_parity(bytes(range(start, start + 16))) for start in (1, 50, 99)]
ZMK_CLEAR = des.odd_parity(bytes(range(64, 80)))
REAL_PAIRS = Path(__file__).parents[1] / "vectors" / "payshield_key_block.json"
_BLOCK = re.compile(r"S0(\d{4})[0-9A-Z]{2}[DTA][A-Z]00[NES]\d{4}")


@pytest.fixture(params=["01", "02"])
def lmk_id(request: pytest.FixtureRequest) -> str:
    """Each key block LMK."""
    return str(request.param)


@pytest.fixture
def block(module: SecurityModule, lmk_id: str) -> Callable[[str, bytes], str]:
    """Makes the key block of (attributes such as ``52T2Bc1E``, clear key)."""

    def make(attributes: str, clear: bytes) -> str:
        usage, algorithm, mode = attributes[:2], attributes[2], attributes[4]
        header = BlockHeader(usage, algorithm, mode, attributes[5:7], attributes[7])
        return module.state.lmks[lmk_id].wrap(ANY_KEY, clear, "S", header)

    return make


BlockMaker = Callable[[str, bytes], str]


def kcv_of(parts: list[bytes]) -> str:
    """The check value of the key that components make, by psec."""
    folded = 0
    for part in parts:
        folded ^= int.from_bytes(part, "big")
    return psec.des.generate_kcv(folded.to_bytes(16, "big"), 3).hex().upper()


@pytest.mark.parametrize(
    ("tail", "version", "optional"),
    [
        ("", "00", ()),
        ("#0000", "00", ()),
        ("#0700", "07", ()),
        ("#0001KS0C12345678", "00", (("KS", "12345678"),)),
    ],
)
def test_a_key_is_formed(
    module: SecurityModule,
    send: Send,
    lmk_id: str,
    tail: str,
    version: str,
    optional: tuple[tuple[str, str], ...],
) -> None:
    """Usage, algorithm, mode and exportability are the components'; the rest is the # part's."""
    components = "".join(
        module.state.lmks[lmk_id].wrap(
            ANY_KEY, part, "S", BlockHeader("52", "T", "B", f"c{number}", "E")
        )
        for number, part in enumerate(PARTS, 1)
    )
    for request in (f"{tail}%{lmk_id}", f"%{lmk_id}{tail}"):
        reply = send(f"A43FFFS{components}{request}")
        formed = module.state.lmks[lmk_id].key((ANY_KEY, reply[4:-6]))
        assert ("A500", kcv_of(PARTS)) == (reply[:4], reply[-6:])
        assert BlockHeader("52", "T", "B", version, "E", optional) == formed.header


def test_components_are_made_by_a0(send: Send) -> None:
    """The public case: two components of a ZMK from A0, and the key that they form."""
    made = [send(f"A00FFFS%01#52T2Bc{number}E00")[4:-6] for number in "12"]
    assert [text[:17] for text in made] == ["S0007252TBc1E0001", "S0007252TBc2E0001"]
    reply = send(f"A42FFFS{''.join(made)}%01#0000")
    assert reply[:21] == "A500S0007252TB00E0001"


@pytest.mark.parametrize(
    ("second", "tail", "code"),
    [
        ("72T2Bc2E", "", "A6"),
        ("52T2Ec2E", "", "A8"),
        ("52T2Bc2N", "", "AA"),
        ("52T2Bc2E", "#c100", "A9"),
        ("52T2Bc2E", "#0-00", "A9"),
        ("52T2Bc2E", "#00X0", "AB"),
        ("52T2Bc2E", "#52T2B00E00", "AB"),
    ],
)
def test_components_that_do_not_fit(
    send: Send, block: BlockMaker, lmk_id: str, second: str, tail: str, code: str
) -> None:
    """Components must agree in what their blocks say, and never form another component."""
    components = block("52T2Bc1E", PARTS[0]) + block(second, PARTS[1])
    assert f"A5{code}" == send(f"A42FFFS{components}%{lmk_id}{tail}")


def test_components_of_other_lengths(send: Send, block: BlockMaker, lmk_id: str) -> None:
    """A component of another algorithm or length is none of this key's."""
    first = block("21T2Bc1E", PARTS[0])
    assert send(f"A42FFFS{first}{block('21D1Bc2E', PARTS[1][:8])}%{lmk_id}") == "A5A7"
    assert send(f"A42FFFS{first}{block('21T3Bc2E', PARTS[1] + bytes(8))}%{lmk_id}") == "A527"


class Real(NamedTuple):
    """A request of a real module, and a key block in it."""

    name: str
    request: str
    at: int
    size: int


def real_requests() -> list[Real]:
    """Every request of a real module under LMK 01, once for each key block in it."""
    found = []
    for pair in json.loads(REAL_PAIRS.read_text())["pairs"]:
        text = pair["request"]
        if pair["encoding"] == "hex":
            text = bytes.fromhex(text).decode("latin-1")
        for number, match in enumerate(_BLOCK.finditer(text)):
            found.append(Real(f"{pair['id']}-{number}", text, match.start(), 1 + int(match[1])))
    return found


@pytest.mark.parametrize("real", real_requests(), ids=lambda real: str(real.name))
def test_no_command_takes_a_component(real: Real) -> None:
    """A request of a real module, carried out before, is refused with a component as its key."""
    settings = Settings(header_length=0, test_lmk=True, pin_digits_max=6)
    module = SecurityModule.with_test_lmks(settings)
    lmk = module.state.lmks["01"]
    key = lmk.key((ANY_KEY, real.request[real.at : real.at + real.size]))
    assert key.header is not None
    header = key.header
    component = lmk.wrap(
        ANY_KEY,
        key.clear,
        "S",
        BlockHeader(header.usage, header.algorithm, header.mode, "c1", header.exportability),
    )
    request = real.request[: real.at] + component + real.request[real.at + real.size :]
    assert module.execute_text(request)[2:4] == "A9"


KEY_COMMANDS = [
    "A01FFFS{zmk:c}R#72T2N00S00",
    "A6FFF{zmk:c}{tr31}S",
    "A8FFF{zmk:w}{zpk:c}R",
    "A8FFF{zmk:c}{zpk:w}R",
    "AE{tmk:w}{tpk:c};XS1",
    "AE{tmk:c}{tpk:w};XS1",
    "BUFFF{zpk:c};FFF;001",
    "FA{zmk:c}{tr31}",
    "GC{zmk:w}{zpk:c};XS1",
    "GC{zmk:c}{zpk:w};XS1",
    "HC{tmk:c};XS1#71T2N00S00",
    "IA{zmk:c};XS1#72T2N00S00",
    "JC{tpk:c}000000000000000001400012345678",
    "KA{zpk:c}01",
]


class Text:
    """A key of a request, as ``{name:c}`` a component and as ``{name:w}`` a whole key."""

    def __init__(self, block: BlockMaker, usage: str) -> None:
        self._block, self._usage = block, usage

    def __format__(self, form: str) -> str:
        return self._block(f"{self._usage}T2N{'c1' if form == 'c' else '00'}S", ZMK_CLEAR)


@pytest.mark.parametrize("request_text", KEY_COMMANDS)
def test_no_key_command_takes_a_component(
    send: Send, block: BlockMaker, lmk_id: str, request_text: str
) -> None:
    """Neither master keys nor keys that travel or are checked may be components."""
    tr31 = "R" + psec.tr31.wrap(
        ZMK_CLEAR, psec.tr31.Header("B", "P0", "T", "N", "00", "E"), PARTS[0]
    )
    usages = {"zmk": "52", "tmk": "51", "zpk": "72", "tpk": "71"}
    texts = {name: Text(block, usage) for name, usage in usages.items()}
    for form, codes in (("c}", ("A9",)), ("w}", ("00", "20"))):
        request = request_text.replace("c}", form).format(tr31=tr31, **texts)
        assert send(f"{request}%{lmk_id}")[2:4] in codes


@pytest.mark.parametrize(
    "command", ["A6FFF{zmk}{text}S%01", "FA{zmk}{text}%01", "A6001{zmk}{text}U"]
)
@pytest.mark.parametrize("scheme", "RS")
def test_components_are_not_imported(
    module: SecurityModule, send: Send, scheme: str, command: str
) -> None:
    """A block of another module that holds a component is no key, under any kind of LMK."""
    lmk = module.state.lmks["01" if command.endswith("%01") else "00"]
    zmk = lmk.wrap(ZMK, ZMK_CLEAR, "S" if lmk.uses_blocks else "U")
    for version, code in (("c1", "A9"), ("00", "00")):
        if scheme == "R":
            theirs = psec.tr31.Header("B", "P0", "T", "B", version, "E")
            text = psec.tr31.wrap(ZMK_CLEAR, theirs, PARTS[0])
        else:
            header = BlockHeader("72", "T", "B", version, "E")
            text = thales_block.wrap("0", ZMK_CLEAR, header, PARTS[0], bytes)
        assert code == send(command.format(zmk=zmk, text=scheme + text))[2:4]


def test_operators_are_told(module: SecurityModule) -> None:
    """Explaining a component says what it is; it does not move to another LMK as a key."""
    text = module.state.lmks["01"].wrap(
        ANY_KEY, PARTS[0], "S", BlockHeader("52", "T", "B", "c1", "E")
    )
    told = explain_key(module.state.lmks["01"], text)
    assert not told.accepted
    assert "component" in dict(told.facts)["hint"]
    with pytest.raises(Refusal) as refusal:
        translate_key(module.state.lmks["01"], module.state.lmks["02"], "FFF", text, "S")
    assert refusal.value.code == "A9"
