"""``docs/production.md`` and ``deploy/``: what they say is run, parsed, and held to the product."""

from __future__ import annotations

import json
import re
import shlex
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import httpx
import pytest
import trio
import yaml
from limits import HANG_S
from program import Program
from typer.main import get_command
from world import opened_world

from acquirer.cli.main import application
from acquirer.switch.settings import LimitSettings
from acquirer.switch.watch.alarms import ALARMS

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "production.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    for line in block.strip().splitlines()
]
FREE_PORTS = ("--pos", "127.0.0.1:0", "--http", "127.0.0.1:0")
METRIC = re.compile(r"\bacquirer_[a-z_]+")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)


async def test_the_page_leads_to_a_running_switch(tmp_path: Path) -> None:
    """Its commands, one after the other, in another folder and on free ports."""
    folder = tmp_path / "acquirer"
    running: list[Program] = []
    try:
        for line in COMMANDS:
            words = shlex.split(line.replace("/var/lib/acquirer", str(folder)))
            if words[1] == "init":
                words += FREE_PORTS
            if words[-1] == "&":
                running.append(Program(*words[1:-1]))
                ready = {"http": "", **await running[-1].start()}
                # As `acquirer up` does it: a port that was free is told to commands.
                await trio.Path(folder / "up.json").write_text(json.dumps({"http": ready["http"]}))
                continue
            ended = await trio.to_thread.run_sync(run, *words)
            assert 0 == ended.returncode, f"{line}: {ended.stdout}{ended.stderr}"
        # The ready lines: of the module, of the switch.
        assert 2 == len(running)
    finally:
        with trio.CancelScope(shield=True):
            for program in reversed(running):
                await program.end(signal.SIGTERM)


def test_init_overwrites_nothing_and_keeps_all_to_its_owner(tmp_path: Path) -> None:
    """A second one is refused with exit code 2; the files are of mode 0600."""
    folder = tmp_path / "acquirer"
    first = run("acquirer", "init", str(folder), "--zone", "Europe/Berlin", "--json")
    assert 0 == first.returncode, first.stderr
    files = json.loads(first.stdout)["files"]
    before = {name: Path(name).read_bytes() for name in files}
    assert {0o600} == {stat.S_IMODE(Path(name).stat().st_mode) for name in files}
    second = run("acquirer", "init", str(folder), "--zone", "Europe/Berlin")
    assert 2 == second.returncode
    assert "switch.toml" in second.stderr
    assert "nothing is overwritten" in second.stderr
    assert before == {name: Path(name).read_bytes() for name in files}
    written = tomllib.loads((folder / "switch.toml").read_text())
    assert "Europe/Berlin" == written["business_day"]["zone"]
    other = run("acquirer", "init", str(tmp_path / "other"), "--zone", "Europe/Berlin")
    assert 0 == other.returncode
    made = tomllib.loads((tmp_path / "other" / "switch.toml").read_text())
    for key in ("data_key", "operator_token"):
        assert written[key] != made[key]
    nowhere = run("acquirer", "init", str(tmp_path / "third"), "--zone", "Asia/Peking")
    assert (2, True) == (nowhere.returncode, "Asia/Shanghai" in nowhere.stderr)


async def test_init_with_a_module_that_runs(tmp_path: Path) -> None:
    """Its keys are made there; where none answers nothing is written."""
    module = Program("hsm", "--test-lmks", "--port", "0", "--header-length", "8")
    try:
        address = (await module.start())["hsm"]
        words = ("init", str(tmp_path / "a"), "--zone", "UTC", "--hsm", address, *FREE_PORTS)
        made = await trio.to_thread.run_sync(run, "acquirer", *words)
        assert 0 == made.returncode, made.stderr
        file = str(tmp_path / "a" / "switch.toml")
        checked = await trio.to_thread.run_sync(
            run, "acquirer", "serve", "--check", "--config", file
        )
        assert 0 == checked.returncode, checked.stdout
    finally:
        with trio.CancelScope(shield=True):
            await module.end(signal.SIGTERM)
    gone = ("init", str(tmp_path / "b"), "--zone", "UTC", "--hsm", address)
    silent = await trio.to_thread.run_sync(run, "acquirer", *gone)
    assert (2, True) == (silent.returncode, "Nothing was written" in silent.stderr)
    assert not (tmp_path / "b" / "switch.toml").exists()


def test_units() -> None:
    """Their commands are ours, and leave a switch the time to answer what is in flight."""
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        parsed = ConfigParser(interpolation=None, strict=False)
        parsed.optionxform = str  # type: ignore[assignment, method-assign]
        parsed.read(unit)
        service = parsed["Service"]
        assert_ours(shlex.split(service["ExecStart"]))
        assert "0077" == service["UMask"]
        if "serve" in unit.name:
            assert int(service["TimeoutStopSec"]) > LimitSettings().drain_s + 10


def assert_ours(words: list[str]) -> None:
    """The words call a command of this program, with options that it has."""
    program, name, *options = words
    assert "/opt/acquirer/bin/acquirer" == program
    command = get_command(application(name))
    context = command.make_context("acquirer", [name, *options])
    _, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])  # type: ignore[attr-defined]
    below.make_context(name, rest, parent=context)


def test_container_file() -> None:
    """What it copies is there, it installs as the Makefile does, and it starts a switch."""
    text = (DEPLOY / "Containerfile").read_text()
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line[:1].isupper()]
    said = {word: rest for word, rest in steps if word in ("ENTRYPOINT", "CMD", "EXPOSE")}
    assert_ours([*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])])
    help_text = run("acquirer", "init", "--help").stdout
    assert all(port in help_text for port in said["EXPOSE"].split())
    makefile = (ROOT / "Makefile").read_text()
    for options in ("--require-hashes -r", "--no-deps --no-build-isolation"):
        assert options in text
        assert options in makefile
    assert (ROOT / "requirements.lock").exists()


def rules() -> Iterator[dict[str, object]]:
    """Every rule of the Prometheus file."""
    document = yaml.safe_load((DEPLOY / "prometheus" / "acquirer-rules.yml").read_text())
    for group in document["groups"]:
        yield from group["rules"]


def panels() -> Iterator[str]:
    """Every expression of the dashboard."""
    document = json.loads((DEPLOY / "grafana" / "acquirer.json").read_text())
    for panel in document["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


async def test_metrics_that_are_watched_are_there(tmp_path: Path) -> None:
    """Each that a rule or a panel names is on ``/metrics`` of a running switch."""
    asked = {name for rule in rules() for name in METRIC.findall(str(rule["expr"]))}
    asked |= {name for expression in panels() for name in METRIC.findall(expression)}
    async with (
        opened_world(tmp_path) as world,
        httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client,
    ):
        shown = (await client.get(f"http://{world.http}/metrics")).text
    families = set(re.findall(r"^# TYPE (\S+)", shown, re.M))
    assert [] == sorted(
        name
        for name in asked
        if name not in families and name.removesuffix("_bucket") not in families
    )


def test_every_alarm_has_one_rule() -> None:
    """Each pages somebody or makes a ticket, and none is named that there is not."""
    named: list[str] = []
    for rule in rules():
        assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
        if found := re.search(r'alarm=~"([^"]+)"', str(rule["expr"])):
            named += found[1].split("|")
    assert sorted(ALARMS) == sorted(named)
