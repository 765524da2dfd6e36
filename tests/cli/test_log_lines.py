"""Log lines: those of one turn of a loop in one write."""

import io
import threading

import trio
import trio.lowlevel

from acquirer.cli.log_lines import LogLines


class File(io.BytesIO):
    """Keeps what each write was given."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take lines."""
        self.writes.append(data)
        return len(data)


def test_outside_a_program_each_line_is_written_at_once() -> None:
    """Nobody else would write it later."""
    file = File()
    lines = LogLines(file)
    lines.info(b"1")
    lines.warning(b"2")
    assert [b"1\n", b"2\n"] == file.writes


def test_lines_of_one_turn_are_written_together() -> None:
    """A warning takes those before it along; what is left is written before the loop waits."""
    file = File()
    lines = LogLines(file)

    async def program() -> None:
        lines.info(b"1")
        lines.warning(b"2")
        assert [b"1\n2\n"] == file.writes
        lines.info(b"3")
        lines.info(b"4")
        assert 1 == len(file.writes)
        await trio.lowlevel.checkpoint()
        assert b"3\n4\n" == file.writes[1]
        other = threading.Thread(target=lines.info, args=(b"5",))
        other.start()
        other.join()
        assert b"5\n" == file.writes[2]
        lines.info(b"6")

    trio.run(program, instruments=[lines])
    assert b"6\n" == file.writes[3]


def test_a_file_that_takes_nothing_stops_nothing() -> None:
    """A program outlives the end of whoever reads its log."""

    class Gone(File):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            raise BrokenPipeError

    lines = LogLines(Gone())

    async def program() -> str:
        lines.warning(b"1")
        lines.info(b"2")
        await trio.lowlevel.checkpoint()
        return "done"

    assert "done" == trio.run(program, instruments=[lines])
