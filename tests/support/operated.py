"""A running switch that takes operator calls, and the commands that make them."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
import trio
from world import OpenWorld, World

TOKEN = "a-token-of-this-test"


def without_none(value: Any) -> Any:
    """What TOML can hold."""
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, list) else value


@asynccontextmanager
async def operated(open_world: OpenWorld, **attributes: Any) -> AsyncIterator[World]:
    """An estate whose switch takes operator calls, with the files that the commands look for."""
    async with open_world(changes={"operator_token": TOKEN}, **attributes) as world:
        document = without_none(msgspec.to_builtins(await world.settings()))
        (world.folder / "switch.toml").write_bytes(tomli_w.dumps(document).encode())
        (world.folder / "up.json").write_bytes(msgspec.json.encode({"http": world.http}))
        yield world


async def run(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, Any]:
    """A command's exit code, and its JSON or its complaint."""
    done = await trio.run_process(
        [sys.executable, "-m", "acquirer", *arguments, "--data", str(folder), "--json"],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    if not done.stdout:
        return done.returncode, done.stderr.decode()
    return done.returncode, msgspec.json.decode(done.stdout)
