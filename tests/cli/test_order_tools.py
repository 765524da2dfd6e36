"""An order system of one's own behind ``acquirer up``, and the commands for its builder."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from estate_process import PROGRAM, QUIET, acquirer, terminal, up
from limits import HANG_S, comes

ORDER = "SP20261121003"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A command that runs until it is ended; yields it and its first line."""
    process = subprocess.Popen((*PROGRAM, *arguments), stdout=subprocess.PIPE, env=QUIET)
    try:
        assert process.stdout is not None
        yield process, msgspec.json.decode(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(HANG_S)


@contextmanager
def own_system(folder: Path) -> Iterator[str]:
    """An order system that runs elsewhere; gives its URL."""
    folder.mkdir()
    config = folder / "system.toml"
    config.write_text('data = "."\nlisten = "127.0.0.1:0"\n')
    with running("order-sim", "--config", str(config)) as (_, ready):
        yield f"http://{ready['orders']}"


def test_up_takes_an_order_system_of_ones_own(tmp_path: Path) -> None:
    """It is asked and told; its answers are in the books; so it is after a restart."""
    data = tmp_path / "data"
    with own_system(tmp_path / "own") as url:
        with up(data, "--orders", url) as (_, ready):
            assert url == ready["orders"]
            for step in ("sign-on", "courier-sign-on C1001", f"order-pay {ORDER} --cash"):
                assert "approved" == terminal(data, *step.split())["outcome"]

            def told() -> dict[str, Any]:
                ran = acquirer("orders", "events", "list", "--data", str(data), "--json")
                (event,) = msgspec.json.decode(ran.stdout)["events"]
                found: dict[str, Any] = event
                return found

            assert comes(lambda: told()["state"] == "delivered")
            ran = acquirer("orders", "events", "show", told()["id"], "--data", str(data), "--json")
            story = msgspec.json.decode(ran.stdout)["event"]
            (attempt,) = story["attempts"]
            assert ("200", '{"result":"applied"}') == (attempt["status"], attempt["answer"])
            assert ("order.paid", ORDER) == (story["body"]["type"], story["order_no"])
        with up(data, "--orders", url):
            paid = terminal(data, "order-query", ORDER)
            assert "01" == paid["order"]["status"]


def test_a_folder_of_the_simulators_order_host_takes_no_other(tmp_path: Path) -> None:
    """Its merchants would have nobody to ask; the refusal says what to do."""
    data = tmp_path / "data"
    with up(data):
        pass
    ran = acquirer("up", "--data", str(data), "--orders", "http://127.0.0.1:9")
    assert (2, True) == (ran.returncode, b"take an empty one" in ran.stderr)


def test_check_finds_nothing_in_a_right_system_and_says_what_nobody_is(tmp_path: Path) -> None:
    """Exit code 0 and 1; JSON has every call."""
    with own_system(tmp_path / "own") as url:
        right = acquirer("orders", "check", url, "--json")
    assert 0 == right.returncode, right.stdout
    document = msgspec.json.decode(right.stdout)
    assert (True, 23) == (document["right"], len(document["calls"]))
    nobody = acquirer("orders", "check", url)
    assert 1 == nobody.returncode
    assert b"WRONG  query of the order" in nobody.stdout
    assert b"no connection" in nobody.stdout


def test_what_is_triggered_is_heard_with_its_signature_checked(tmp_path: Path) -> None:
    """Good under the merchant's secret, bad under another; exit code 1 where it is not taken."""
    with running("orders", "events", "listen", "--json") as (process, ready):
        send = ("orders", "events", "trigger", "order.signed_for", ready["orders"], "--id", "evt_7")
        good = acquirer(*send)
        bad = acquirer(*send, "--secret", "whsec_" + "B" * 32)
        assert (0, 1) == (good.returncode, bad.returncode)
        assert process.stdout is not None
        heard = [msgspec.json.decode(process.stdout.readline()) for _ in range(2)]
    assert [("evt_7", "good"), ("evt_7", "bad")] == [(one["id"], one["signature"]) for one in heard]
    assert "no signature fits" == heard[1]["fault"]
    assert "order.signed_for" == heard[0]["event"]["type"]


def test_a_listener_outlives_what_is_no_event(tmp_path: Path) -> None:
    """Garbage is answered 400, a query 404, and the next event is heard."""
    with running("orders", "events", "listen", "--json") as (process, ready):
        host, _, port = ready["orders"].removeprefix("http://").partition(":")
        for request, status in (
            (b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n{", b"400"),
            (b"GET /orders/1/2 HTTP/1.1\r\nhost: x\r\n\r\n", b"404"),
        ):
            with socket.create_connection((host, int(port)), HANG_S) as connection:
                connection.sendall(request)
                assert connection.recv(100).split()[1] == status
        assert 0 == acquirer("orders", "events", "trigger", "paid", ready["orders"]).returncode
        assert process.stdout is not None
        lines = [msgspec.json.decode(process.stdout.readline()) for _ in range(2)]
    assert [None, "order.paid"] == [one["event"] and one["event"]["type"] for one in lines]


def test_wrong_arguments_are_said_so() -> None:
    """A kind that is none, a URL that is none, a secret that is none."""
    for arguments, words in (
        (("events", "trigger", "lost", "http://127.0.0.1:9"), b"no kind of event: paid"),
        (("check", "ftp://x"), b"must begin with http"),
        (("check", "http://127.0.0.1:9", "--secret", "x"), b"--secret"),
    ):
        ran = acquirer("orders", *arguments)
        assert (2, True) == (ran.returncode, words in ran.stderr), ran.stderr
