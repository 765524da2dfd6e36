"""Simulated days: fixed seeds, fresh ones, one seed twice; `acquirer simulate` replays any."""

import os
import secrets
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest

from acquirer.simulation.day import (
    KINDS,
    TROUBLES,
    USUAL,
    Day,
    Faults,
    fault_kinds,
)
from acquirer.simulation.run import run_day

# Days that once failed stand here with what they found; they had the usual faults only.
PINNED = (
    192650243684286,
    11,  # a bank link's watch ran for ever at one instant
    23,  # a length that lied swallowed a bank's replies, and the link thought itself well
    43,  # a reversed sale came back when its void was undone
    48,  # a copy of an approved sale was answered 96 while the books refused
    65,  # a link whose keys had parted company stayed up and never said a word that counted
    109,  # a copy of a sale that was answered 96 was approved
    125,  # another terminal's receipt confirmed a payment that was about to be reversed
)
FRESH = 5


@pytest.mark.parametrize("seed", PINNED)
def test_fixed_days_are_clean(seed: int) -> None:
    """Days that found something once find nothing any more."""
    assert [] == run_day(Day(seed, faults=frozenset(USUAL))).findings


def test_a_day_without_faults_is_clean() -> None:
    """All payments and all books agree where nothing breaks."""
    report = run_day(Day(1, faults=frozenset()))
    assert ([], {}, 1) == (report.findings, report.struck, report.lives)


def test_fresh_days_are_clean() -> None:
    """New days each time; a failure says how to replay it."""
    for _ in range(FRESH):
        report = run_day(Day(secrets.randbits(48)))
        print(report.day.command())
        assert [] == report.findings, report.day.command()


def test_one_seed_is_one_day_byte_for_byte() -> None:
    """Two processes with different hash seeds live the same day."""
    digests = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "acquirer", "simulate", "--seed", "2", "--json"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        )
        digests.add(msgspec.json.decode(done.stdout)["digest"])
    assert 1 == len(digests)


def test_a_day_says_how_to_replay_it() -> None:
    """The command names the seed, and what differs from a whole day."""
    day = replace(Day(7), payments=3, faults=fault_kinds("loss,kill"))
    assert "acquirer simulate --seed 7 --payments 3 --faults kill,loss" == day.command()


def test_each_trouble_is_drawn_for_days_and_some_of_them_have_no_other_fault() -> None:
    """What a day has does not depend on which troubles there are beside."""
    days = [Faults(Day(seed)).drawn for seed in range(1000)]
    for kind in TROUBLES:
        assert 50 < sum(kind in drawn for drawn in days) < 150, kind
        assert any(drawn & USUAL.keys() for drawn in days if kind in drawn), kind
        assert any(drawn == {kind} for drawn in days), kind


def test_faults_left_out_do_not_strike() -> None:
    """Only the chosen kinds are drawn, and none after healing."""
    faults = Faults(Day(3, faults=fault_kinds("none")))
    assert not any(faults.strikes(kind) for kind in KINDS)
