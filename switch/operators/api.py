"""Operator commands over HTTP: the only way to write to the books of a running switch.

JSON in, JSON out, beside the health pages. A call must come from this machine and carry a bearer
token: that of the configuration file, which only its owner can read, or with ``acquirer-by`` that
of the operator who is named there; without any there are no such calls. 401 wrong token, 403 not
from here, 400 malformed, 409 refused with a reason, 422 a configuration that cannot be served, 503
the books cannot be written now. ``operations.py`` and the files beside it do the work.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from acquirer.ledger.errors import BookError
from acquirer.switch.configuration.changes import Author
from acquirer.switch.context import Context
from acquirer.switch.operators.access import OWNER_ROLES, Access, Caller
from acquirer.switch.operators.configuration import (
    Changes,
    Unfit,
    add_body,
    change_body,
    import_configuration,
)
from acquirer.switch.operators.links import command_link, list_links
from acquirer.switch.operators.operations import (
    Done,
    Refused,
    hand_in_cash,
    replay_event,
    unlock_courier,
)
from acquirer.switch.operators.saf import retry_saf, write_off_saf
from acquirer.switch.operators.terminals import close_batch, end_keys
from acquirer.switch.settings import Role

log = structlog.get_logger("acquirer.operator")

# Headers: an operator's name, and the machine's user who runs the owner's command; percent-encoded.
BY, USER = "acquirer-by", "acquirer-user"
USER_MAX = 40
NUL = "a NUL character has no place in a name or a reason"
NO_RIGHT = "R06"
NOT_HIS_TOKEN = (
    "ACQUIRER_TOKEN is not the token of an operator of that name in [[operators]] of the "
    "switch's file"
)
BODY_BYTES_MAX = 4096
ID_MAX = 2**63 - 1
# Kinds of which one body is changed without the others.
NamedKind = Literal["merchant", "terminal", "order_system"]
Outcome = Done | Refused | Unfit


@dataclass(frozen=True, slots=True)
class Desk:
    """What operators work with: the switch, and where its configuration is changed.

    Attributes:
        reload: takes over the event secrets of the switch's file, for whoever is named.
    """

    context: Context
    changes: Changes
    reload: Callable[[str], Awaitable[Outcome]]


Operation = Callable[[Desk, Request], Awaitable[Outcome]]
CHANGES: frozenset[Role] = frozenset({"maker", "admin"})


class HandIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a hand-in."""

    amount_minor: int
    reference: str
    station: str = ""


async def _unlock(desk: Desk, request: Request) -> Outcome:
    return await unlock_courier(desk.context, request.path_params["courier_id"])


async def _end_keys(desk: Desk, request: Request) -> Outcome:
    return await end_keys(desk.context, request.path_params["terminal_id"])


async def _close_batch(desk: Desk, request: Request) -> Outcome:
    return await close_batch(desk.context, request.path_params["terminal_id"])


async def _hand_in(desk: Desk, request: Request) -> Outcome:
    told = msgspec.json.decode(await _body(request), type=HandIn)
    return await hand_in_cash(
        desk.context,
        request.path_params["courier_id"],
        told.amount_minor,
        told.station,
        told.reference,
    )


async def _replay(desk: Desk, request: Request) -> Outcome:
    return await replay_event(desk.context, request.path_params["event_id"])


class WriteOff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a write-off."""

    name: str
    reason: str


async def _retry_saf(desk: Desk, request: Request) -> Outcome:
    return await retry_saf(desk.context, _id(request))


async def _write_off(desk: Desk, request: Request) -> Outcome:
    told = msgspec.json.decode(await _body(request), type=WriteOff)
    return await write_off_saf(desk.context, _id(request), told.name, told.reason)


async def _links(desk: Desk, request: Request) -> Outcome:
    return await list_links(desk.context)


async def _link(desk: Desk, request: Request) -> Outcome:
    return await command_link(
        desk.context, request.path_params["link"], request.path_params["command"]
    )


async def _reload_secrets(desk: Desk, request: Request) -> Outcome:
    return await desk.reload(request.state.caller.name)


class Import(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of an import; ``document`` has a list of tables a kind."""

    document: dict[str, Any]
    kinds: list[str] = []
    reason: str = ""


class Add(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body that adds one body of a kind that has keys."""

    kind: NamedKind
    members: dict[str, Any]
    reason: str = ""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body that changes members of one body."""

    kind: NamedKind
    key: str
    members: dict[str, Any]
    reason: str = ""


async def _import(desk: Desk, request: Request) -> Outcome:
    told = msgspec.json.decode(await request.body(), type=Import)
    author = _author(request, told.reason)
    now_ms = desk.context.clock.now_ms()
    return await import_configuration(desk.changes, told.document, told.kinds, author, now_ms)


async def _add(desk: Desk, request: Request) -> Outcome:
    told = msgspec.json.decode(await _body(request), type=Add)
    author = _author(request, told.reason)
    now_ms = desk.context.clock.now_ms()
    return await add_body(desk.changes, told.kind, told.members, author, now_ms)


async def _change(desk: Desk, request: Request) -> Outcome:
    told = msgspec.json.decode(await _body(request), type=Change)
    author = _author(request, told.reason)
    now_ms = desk.context.clock.now_ms()
    return await change_body(desk.changes, told.kind, told.key, told.members, author, now_ms)


def _author(request: Request, reason: str) -> Author:
    if "\0" in reason:
        raise msgspec.DecodeError(NUL)
    return Author(request.state.caller.name, reason)


LOOKS: dict[str, Operation] = {"/operator/links": _links}
OPERATIONS: dict[str, Operation] = {
    "/operator/saf/{id}/retry": _retry_saf,
    "/operator/saf/{id}/write-off": _write_off,
    "/operator/links/{link}/{command}": _link,
    "/operator/couriers/{courier_id}/unlock": _unlock,
    "/operator/couriers/{courier_id}/hand-in": _hand_in,
    "/operator/terminals/{terminal_id}/end-keys": _end_keys,
    "/operator/terminals/{terminal_id}/close-batch": _close_batch,
    "/operator/events/{event_id}/replay": _replay,
    "/operator/secrets/reload": _reload_secrets,
    "/operator/config/import": _import,
    "/operator/config/add": _add,
    "/operator/config/change": _change,
}


def _has_nul(request: Request) -> bool:
    """Whether who asks, or what is asked about, has a character that PostgreSQL does not store."""
    said = any("%00" in request.headers.get(name, "") for name in (BY, USER))
    return said or "\0" in request.scope["path"]


def operator_routes(desk: Desk, access: Access) -> list[Route]:
    """The routes of all operator calls; none where nobody has a token."""
    if not access:
        return []

    def guarded(path: str, operation: Operation, roles: frozenset[Role]) -> Route:
        async def endpoint(request: Request) -> Response:
            if not _from_here(request):
                return JSONResponse({"error": "operators call from this machine"}, 403)
            if _has_nul(request):
                return JSONResponse({"error": NUL}, 400)
            caller = _caller(request, access)
            if caller is None and not request.headers.get(BY):
                return JSONResponse({"error": "the token is wrong"}, 401)
            outcome: Outcome
            if caller is None:
                outcome = Refused(NOT_HIS_TOKEN, NO_RIGHT)
            elif not roles & caller.roles:
                may = " or ".join(sorted(roles))
                outcome = Refused(f"{caller.name} has no right to this: {may} has it", NO_RIGHT)
            else:
                request.state.caller = caller
                try:
                    outcome = await operation(desk, request)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    return JSONResponse({"error": str(error)}, 400)
                except BookError as error:
                    return JSONResponse({"error": str(error)}, 503)
            by = caller.name if caller else request.headers[BY]
            done = not isinstance(outcome, Refused | Unfit)
            log.info("operator", path=request.url.path, by=by, refused=not done)
            return _response(outcome)

        return Route(path, endpoint, methods=["POST"])

    return [
        *(guarded(path, operation, OWNER_ROLES) for path, operation in LOOKS.items()),
        *(guarded(path, operation, CHANGES) for path, operation in OPERATIONS.items()),
    ]


def _response(outcome: Outcome) -> Response:
    if isinstance(outcome, Unfit):
        told = [{"place": fault.place, "reason": fault.reason} for fault in outcome.faults]
        message = "the configuration cannot be served; nothing was changed"
        error = {"code": "invalid", "message": message, "faults": told}
        return JSONResponse({"error": error}, 422)
    if isinstance(outcome, Refused):
        told_as = (
            {"code": outcome.code, "message": outcome.reason} if outcome.code else outcome.reason
        )
        return JSONResponse({"error": told_as}, 409)
    return JSONResponse(outcome)


def _caller(request: Request, access: Access) -> Caller | None:
    headers = request.headers
    by, user = (unquote(headers.get(name, "")) for name in (BY, USER))
    return access.caller(headers.get("authorization", ""), by, user[:USER_MAX])


def _from_here(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _id(request: Request) -> int:
    """The number in the path.

    Raises:
        msgspec.ValidationError: it is none that a row can have.
    """
    text = request.path_params["id"]
    if not re.fullmatch("[0-9]{1,19}", text) or not 0 < int(text) <= ID_MAX:
        raise msgspec.ValidationError(f"no id {text[:40]!r}: a number from 1 to {ID_MAX}")
    return int(text)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise msgspec.DecodeError("the body is too long")
    if b"\\u0000" in body:
        raise msgspec.DecodeError(NUL)
    return body
