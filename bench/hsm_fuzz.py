"""Coverage-guided fuzzing of the security module: framing and every command's body.

Not part of the suite, which fuzzes with hypothesis: needs the package ``atheris``, which is no
dependency of ours. Begins with the worked requests of docs/hsm.md. What breaks the module's word is
an error: a reply with another code than the command's, an unknown error code or 41, an exception, a
hang of more than a second.

    python -m acquirer.bench.hsm_fuzz -max_total_time=180
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from pathlib import Path

import atheris
import structlog

with atheris.instrument_imports(include=["acquirer.hsm_sim"]):
    from acquirer.codecs.errors import FrameError
    from acquirer.hsm_sim.conversation import Conversation
    from acquirer.hsm_sim.errors import ERROR_TEXTS
    from acquirer.hsm_sim.module import SecurityModule, reply_code
    from acquirer.hsm_sim.state import Settings

REFERENCE = Path(__file__).parents[1] / "docs" / "hsm.md"
LMKS = ("00", "01", "02")
MODULES: list[SecurityModule] = []
REQUEST_BYTES_MAX = 2048

_EXAMPLE = re.compile(r"^```hsm([^\n]*)\n> (.*)\n< ", re.M)
_ESCAPE = re.compile(r"\\x([0-9A-F]{2})")


def seeds() -> list[bytes]:
    """Each worked request: a byte that chooses module and target, then the request."""
    found = []
    for flags, written in _EXAMPLE.findall(REFERENCE.read_text()):
        lmk = re.search(r"lmk=(\d\d)", flags)
        request = _ESCAPE.sub(lambda byte: chr(int(byte[1], 16)), written.replace(" ", ""))
        body = request.encode("latin-1")
        choice = 2 * LMKS.index(lmk[1]) if lmk else 0
        choice += "authorised" in flags
        found.append(bytes([choice]) + body)
        found.append(bytes([0x80]) + (len(body).to_bytes(2, "big") + body) * 2)
    return found


def one_input(data: bytes) -> None:
    """Take one input: a byte that chooses, then a request or, with its high bit, frames."""
    if len(data) < 3:
        return
    module = MODULES[data[0] // 2 % len(MODULES)]
    module.state.authorised = bool(data[0] & 1)
    if data[0] & 0x80:
        stream(module, data[1:], data[0] & 0x0F)
    else:
        request(module, data[1:])


def request(module: SecurityModule, body: bytes) -> None:
    """One command; the reply must be one."""
    reply = module.execute_text(body.decode("latin-1"))
    expected = reply_code(body[:2].decode("latin-1"))
    if reply[:2] != expected or reply[2:4] not in ERROR_TEXTS or reply[2:4] == "41":
        refusal = module.last_refusal
        raise AssertionError(f"{body!r} was answered {reply[:4]!r}: {refusal and refusal.reason}")


def stream(module: SecurityModule, received: bytes, split: int) -> None:
    """Frames in any split give the replies that they give in one piece."""
    whole, parts = Conversation(echo), Conversation(echo)
    try:
        expected = whole.feed(received)
    except FrameError:
        return
    size = split + 1
    pieces = [received[at : at + size] for at in range(0, len(received), size)]
    if b"".join(parts.feed(piece) for piece in pieces) != expected:
        raise AssertionError(f"{received!r} in pieces of {size} has other replies")
    Conversation(module.execute_text).feed(received)


def echo(text: str) -> str:
    """What does not depend on random numbers."""
    return text


def main() -> None:
    """Run until the fuzzer's own options say so; its exit code is ours."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = Settings(header_length=0, test_lmk=True)
    MODULES.extend(SecurityModule.with_test_lmks(settings, default_lmk=lmk) for lmk in LMKS)
    # The corpus grows in a folder of this run's own.
    with tempfile.TemporaryDirectory(prefix="hsm-fuzz-") as folder:
        for number, seed in enumerate(seeds()):
            Path(folder, f"seed{number:03}").write_bytes(seed)
        limits = [f"-max_len={REQUEST_BYTES_MAX}", "-timeout=1"]
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
