"""The security module: commands a second, in process and over TCP, beside their baselines.

In process the baseline is bare pycryptodome doing the same cipher calls; over TCP an echo of the
same frames under the same load, measured before and after the module in the same run. Only the
ratios mean something across machines.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle

import trio
from Crypto.Cipher import DES, DES3

from acquirer.bench.children import child
from acquirer.bench.hsm_load import HEADER_LENGTH, commands_per_second
from acquirer.bench.hsm_samples import MESSAGE, TPK, ZPK, bodies
from acquirer.config.children import program
from acquirer.hsm_sim.module import SecurityModule, reply_code
from acquirer.hsm_sim.state import Settings

ROUNDS = 5
CALLS_A_ROUND = 4000
ECHO_ROUNDS = 25
"""Each is a third of a second, and the ratio their median, so bursts count little."""


def measure(connections: int, depth: int, requests: int) -> dict[str, float]:
    """The report of ``acquirer bench hsm``.

    Args:
        connections: over TCP.
        depth: requests on their way on each.
        requests: of each TCP measurement.
    """
    samples = bodies()
    report = {**in_process(samples), **over_tcp(samples, connections, depth, requests)}
    return report | {"connections": connections, "depth": depth}


def in_process(samples: dict[str, list[bytes]]) -> dict[str, float]:
    """Commands a second by direct calls, and their cost over bare ciphers."""
    module = SecurityModule.with_test_lmks(Settings(header_length=HEADER_LENGTH, test_lmk=True))
    report: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for code, requests in samples.items():
        frames = [b"0001" + request for request in requests]
        expected = f"0001{reply_code(code)}00".encode()
        for frame in frames:
            if not module.execute(frame).startswith(expected):
                raise RuntimeError(f"{code} is refused")
        seconds[code] = seconds_per_call(map(module.execute, cycle(frames)).__next__)
        report[f"{code}_in_process"] = round(1 / seconds[code], 1)
    for code, bare in (("CA", bare_translation()), ("M8", bare_mac())):
        report[f"{code}_over_cipher"] = round(seconds[code] / seconds_per_call(bare), 3)
    return report


def seconds_per_call(call: Callable[[], object]) -> float:
    """The quickest round's mean, in seconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS_A_ROUND):
            call()
        best = min(best, time.perf_counter() - started)
    return best / CALLS_A_ROUND


def bare_translation() -> Callable[[], object]:
    """CA's cipher calls: a block deciphered under one key, enciphered under another."""
    source, destination = DES3.new(TPK, DES3.MODE_ECB), DES3.new(ZPK, DES3.MODE_ECB)
    block = bytes(8)
    return lambda: destination.encrypt(source.decrypt(block))


def bare_mac() -> Callable[[], object]:
    """M8's cipher calls: CBC under the left half, the last block under the whole key."""
    chain, whole = DES.new(TPK[:8], DES.MODE_CBC, iv=bytes(8)), DES3.new(TPK, DES3.MODE_ECB)
    head, last = MESSAGE[:-8], MESSAGE[-8:]
    return lambda: (chain.encrypt(head), whole.encrypt(last))


def over_tcp(
    samples: dict[str, list[bytes]], connections: int, depth: int, requests: int
) -> dict[str, float]:
    """Commands a second over TCP; for CA beside an echo measured before and after each round."""
    with ExitStack() as stack:
        echo = stack.enter_context(child("-m", "acquirer.bench.hsm_load"))
        arguments = program("hsm", "--test-lmks", "--port", "0")[1:]
        module = stack.enter_context(child(*arguments, quiet=True))
        echo_port, module_port = _port(echo["echo"]), _port(module["hsm"])

        def run(port: int, sent: Sequence[bytes], expected: str) -> float:
            return trio.run(
                commands_per_second, port, sent, expected.encode(), requests, connections, depth
            )

        report = {
            f"{code}_tcp": round(run(module_port, sent, f"{reply_code(code)}00"), 1)
            for code, sent in samples.items()
        }
        ratios, echoes = [], []
        for _ in range(ECHO_ROUNDS):
            before = run(echo_port, samples["CA"], "CA")
            made = run(module_port, samples["CA"], "CB00")
            after = run(echo_port, samples["CA"], "CA")
            ratios.append(2 * made / (before + after))
            echoes.append((before + after) / 2)
    report["echo_tcp"] = round(statistics.median(echoes), 1)
    report["tcp_over_echo"] = round(statistics.median(ratios), 3)
    return report


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
