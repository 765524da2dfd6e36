"""Scenario files: reading, expectations, bent messages, and the first failure named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio.testing
from fake_host import Act, FakeHost

from acquirer.codecs.message import Message
from acquirer.config.estate import load_estate
from acquirer.config.loading import ConfigError
from acquirer.terminals_sim.errors import ScenarioError
from acquirer.terminals_sim.player import Player, StepReport
from acquirer.terminals_sim.scenario import (
    Mismatch,
    Observed,
    Step,
    check,
    load_scenario,
    value_of,
    with_variables,
)

SHIPPED = Path(__file__).parents[2] / "config" / "demo" / "scenarios"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Trio on a clock that jumps."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def observed(**fields: str) -> Observed:
    """An approved answer with these fields, ``f39`` for DE39."""
    values = {int(name[1:]): value for name, value in fields.items()}
    return Observed("yes", "approved", Message("0210", {39: "00", **values}), "good")


async def played(wire: Any, host: FakeHost, tmp_path: Path, steps: str, **options: Any) -> Any:
    """Reports of a scenario of one terminal."""
    path = tmp_path / "s.toml"
    path.write_text(f'title = "t"\n[[terminals]]\ntid = "10000001"\n{steps}', "utf-8")
    async with wire(host, **options) as bench:
        player = Player(load_estate(), {"10000001": bench.client})
        return await player.play(load_scenario(path))


def failure(reports: list[StepReport]) -> str:
    """The last step's mismatch in words."""
    return str(reports[-1].mismatch)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_scenarios_can_be_read(path: Path) -> None:
    """Every scenario of the demo estate is well formed and names cards that exist."""
    scenario = load_scenario(path)
    names = {card.name for card in load_estate().cards}
    assert {step.card for step in scenario.steps} <= names | {""}


@pytest.mark.parametrize(
    ("expected", "got", "holds"),
    [
        ("00", "00", True),
        ("00", "05", False),
        ("*", "x", True),
        ("*", "", False),
        ("-", "", True),
        ("-", "x", False),
        ("/[0-9]{6}/", "123456", True),
        ("/[0-9]{6}/", "1234567", False),
    ],
)
def test_forms_of_an_expectation(expected: str, got: str, holds: bool) -> None:
    """Text, anything, nothing, a pattern."""
    seen = observed(f38=got) if got else observed()
    step = Step("sale", expect={"38": expected})
    assert (check(step, seen) is None) == holds


def test_list_is_any_of() -> None:
    """A list holds where one of its values does."""
    assert check(Step("sale", expect={"39": ["05", "00"]}), observed()) is None


def test_a_step_without_expectations_must_be_approved() -> None:
    """Silence means approval."""
    seen = Observed("yes", "declined", Message("0210", {39: "51"}), "good")
    assert check(Step("sale"), seen) == Mismatch(
        "outcome", "'approved'", "'declined' with response code '51' (insufficient funds)"
    )


def test_card_numbers_are_masked_in_a_mismatch() -> None:
    """What was got is shown as the codecs would show it."""
    wrong = check(Step("sale", expect={"2": "1"}), observed(f2="6225880000000007"))
    assert "622588******0007" in str(wrong)


@pytest.mark.parametrize(
    ("key", "value"),
    [("60.2", "000007"), ("60.3", "000"), ("59.ON", "SP1"), ("amount", "12.50"), ("mti", "0210")],
)
def test_parts_of_fields(key: str, value: str) -> None:
    """Parts of DE59 and DE60, and words."""
    seen = observed(f60="2200000700060", f59="4F4E303033535031", f4="000000001250")
    assert value_of(key, seen) == value


def test_variables_are_put_in_their_place() -> None:
    """A captured value stands wherever its name was written."""
    step = Step("void", rrn="${a}", set={"61": "1${a}"}, expect={"37": "${a}"})
    changed = with_variables(step, {"a": "42"})
    assert (changed.rrn, changed.set, changed.expect) == ("42", {"61": "142"}, {"37": "42"})
    with pytest.raises(ScenarioError, match="captured"):
        with_variables(step, {})


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("title = 5", ConfigError, "title"),
        ('title="t"\nterminals=[]\nsteps=[]', ScenarioError, "needs a terminal"),
        (
            'title="t"\n[[terminals]]\ntid="1"\n[[steps]]\ndo="sale"\namuont="1"',
            ConfigError,
            "amuont",
        ),
        (
            'title="t"\n[[terminals]]\ntid="1"\n[[steps]]\ndo="sale"\nterminal="x"',
            ScenarioError,
            "no terminal 'x'",
        ),
        (
            'title="t"\n[[terminals]]\ntid="1"\n[[steps]]\ndo="sale"\nexpect={colour="red"}',
            ScenarioError,
            "nothing is called 'colour'",
        ),
    ],
)
def test_wrong_files_are_explained(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    """A mistake is named with its key."""
    path = tmp_path / "s.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(error, match=words):
        load_scenario(path)


async def test_usual_steps_and_captures(wire: Any, host: FakeHost, tmp_path: Path) -> None:
    """A sale and its void by RRN."""
    reports = await played(
        wire,
        host,
        tmp_path,
        """
        [[steps]]
        do = "sale"
        amount = "12.50"
        card = "alice"
        expect = { mac = "good", amount = "12.50", journal = "approved" }
        capture = { number = "rrn" }
        [[steps]]
        do = "void"
        rrn = "${number}"
        """,
    )
    assert [report.mismatch for report in reports] == [None, None]
    assert host.requests[1].get(37) == "000000000001"


async def test_first_failure_ends_it_and_names_the_field(
    wire: Any, host: FakeHost, tmp_path: Path, act: type[Act]
) -> None:
    """Steps after the failing one are not played."""
    host.script.extend([None, act(fields={39: "51"}, remove=(38,))])
    reports = await played(
        wire,
        host,
        tmp_path,
        """
        [[steps]]
        do = "sale"
        amount = "1"
        card = "alice"
        expect = { "39" = "00" }
        [[steps]]
        do = "echo"
        """,
    )
    assert len(reports) == 1
    assert failure(reports) == "field 39: expected '00' (approved), got '51' (insufficient funds)"


async def test_bent_messages(wire: Any, host: FakeHost, tmp_path: Path) -> None:
    """Wrong MAC, no MAC, set and removed fields leave as told and do not touch the journal."""
    reports = await played(
        wire,
        host,
        tmp_path,
        """
        [[steps]]
        do = "sale"
        amount = "1"
        card = "alice"
        mac = "wrong"
        [[steps]]
        do = "sale"
        amount = "1"
        card = "alice"
        mac = "none"
        expect = { answer = "yes" }
        [[steps]]
        do = "sale"
        amount = "1"
        card = "alice"
        set = { "60.2" = "999999", "11" = "000777", "59.ZZ" = "x" }
        remove = [26]
        expect = { "60.2" = "999999", "11" = "000777", journal = "-" }
        [[steps]]
        do = "repeat"
        expect = { "11" = "000777" }
        """,
    )
    assert [str(report.mismatch) for report in reports] == ["None"] * 4
    wrong, none, bent, again = host.requests
    assert wrong.get(64) not in ("", bent.get(64))
    assert 64 not in none.fields
    assert (bent.get(60)[:8], bent.get(59)) == ("22999999", "5A5A30303178")
    assert 26 not in bent.fields
    assert bent.raw == again.raw
    assert [message.get(11) for message in (wrong, none)] == ["000002", "000003"]


async def test_raw_bytes_silence_and_close(
    wire: Any, host: FakeHost, tmp_path: Path, act: type[Act]
) -> None:
    """A step can expect that no answer comes, or that the connection ends."""
    sale = "6000030000603100310000" + "0820" + "0000000000C00010" + "31" * 8 + "32" * 15
    message = sale + "0011" + "000000073010"
    host.script.extend([None, act(drop=True), act(close=True)])
    reports = await played(
        wire,
        host,
        tmp_path,
        f"""
        [[steps]]
        do = "raw"
        hex = "{message}"
        expect = {{ answer = "none" }}
        [[steps]]
        do = "raw"
        hex = "{message}"
        expect = {{ answer = "close" }}
        [[steps]]
        do = "raw"
        hex = "{message}"
        expect = {{ "39" = "00", mti = "0830" }}
        """,
    )
    assert [str(report.mismatch) for report in reports] == ["None"] * 3


async def test_a_refusal_of_the_terminal_can_be_expected(
    wire: Any, host: FakeHost, tmp_path: Path
) -> None:
    """What the terminal does not send is an outcome too."""
    reports = await played(
        wire,
        host,
        tmp_path,
        '[[steps]]\ndo = "void"\nexpect = { outcome = "refused" }',
    )
    assert reports[-1].mismatch is None
    assert host.requests == []


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ('do = "dance"', "no such action"),
        ('do = "repeat"', "sent nothing"),
        ('do = "sale"\namount = "1"\ncard = "nobody"', "no card"),
        ('do = "sale"\namount = "x"\ncard = "alice"', "amount"),
        ('do = "echo"\nset = { colour = "red" }', "colour"),
    ],
)
async def test_steps_that_cannot_be_played(
    wire: Any, host: FakeHost, tmp_path: Path, step: str, words: str
) -> None:
    """The error names step and reason."""
    path = tmp_path / "s.toml"
    path.write_text(f'title = "t"\n[[terminals]]\ntid = "10000001"\n[[steps]]\n{step}', "utf-8")
    scenario = load_scenario(path)
    async with wire(host) as bench:
        player = Player(load_estate(), {"10000001": bench.client})
        with pytest.raises(ScenarioError, match=words):
            await player.play(scenario)
