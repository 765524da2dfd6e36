"""NK: several commands in one request, their replies in one reply.

Body: header flag (whether sub-commands have message headers of their own), their number in 2
digits, then each with its length in 4 digits before it. The reply has the number and the replies,
each with its length, in the same order. A sub-command that is refused does not stop the others; a
chain within a chain is refused. Error codes: 51 header flag, 52 number of commands.
"""

from __future__ import annotations

from collections.abc import Callable

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.reply import Handler
from acquirer.hsm_sim.errors import Refusal

CODE = "NK"
TITLE = "Chain of commands"


def chain(execute: Callable[[str, int], str], header_length: int) -> Handler:
    """The handler of NK.

    Args:
        execute: carries out one request, given as text with the length of its header.
        header_length: characters of the module's message header.
    """

    def handle(body: Body) -> str:
        size = header_length if body.choice("01", "51") == "1" else 0
        count = body.number(2, "52")
        if not count:
            raise Refusal("52", "a chain has 1 to 99 commands")
        requests = [body.take(body.number(4)) for _ in range(count)]
        body.end()
        replies = [
            execute(request, size) if request[size : size + 2] != CODE else _refused(request, size)
            for request in requests
        ]
        return f"{count:02}" + "".join(f"{len(reply):04}{reply}" for reply in replies)

    return handle


def _refused(request: str, header_length: int) -> str:
    return request[:header_length] + "NL68"
