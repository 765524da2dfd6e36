"""Operator commands over HTTP: the only way to write to the books of a running switch.

JSON in, JSON out, beside the health pages. A call must come from this machine and carry the
bearer token of the configuration file, which only its owner can read; without a token there are
no such calls. 401 wrong token, 403 not from here, 400 malformed, 409 refused with a reason, 503
the books cannot be written now. ``operations.py`` does the work.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from ipaddress import ip_address

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from acquirer.config.loading import ConfigError
from acquirer.ledger.errors import BookError
from acquirer.switch.context import Context
from acquirer.switch.operators.links import command_link, list_links
from acquirer.switch.operators.operations import (
    Done,
    Refused,
    hand_in_cash,
    replay_event,
    unlock_courier,
)
from acquirer.switch.operators.saf import retry_saf, write_off_saf
from acquirer.switch.operators.terminals import end_keys

log = structlog.get_logger("acquirer.operator")

BODY_BYTES_MAX = 4096
ID_MAX = 2**63 - 1
Operation = Callable[[Context, Request], Awaitable[Done | Refused]]


class HandIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a hand-in."""

    amount_minor: int
    reference: str
    station: str = ""


async def _unlock(context: Context, request: Request) -> Done | Refused:
    return await unlock_courier(context, request.path_params["courier_id"])


async def _end_keys(context: Context, request: Request) -> Done | Refused:
    return await end_keys(context, request.path_params["terminal_id"])


async def _hand_in(context: Context, request: Request) -> Done | Refused:
    told = msgspec.json.decode(await _body(request), type=HandIn)
    return await hand_in_cash(
        context,
        request.path_params["courier_id"],
        told.amount_minor,
        told.station,
        told.reference,
    )


async def _replay(context: Context, request: Request) -> Done | Refused:
    return await replay_event(context, request.path_params["event_id"])


class WriteOff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a write-off."""

    name: str
    reason: str


async def _retry_saf(context: Context, request: Request) -> Done | Refused:
    return await retry_saf(context, _id(request))


async def _write_off(context: Context, request: Request) -> Done | Refused:
    told = msgspec.json.decode(await _body(request), type=WriteOff)
    return await write_off_saf(context, _id(request), told.name, told.reason)


async def _links(context: Context, request: Request) -> Done | Refused:
    return await list_links(context)


async def _link(context: Context, request: Request) -> Done | Refused:
    return await command_link(context, request.path_params["link"], request.path_params["command"])


async def _reload_secrets(context: Context, request: Request) -> Done | Refused:
    try:
        return asdict(context.event_secrets.reload())
    except ConfigError as error:
        return Refused(str(error))


OPERATIONS: dict[str, Operation] = {
    "/operator/links": _links,
    "/operator/saf/{id}/retry": _retry_saf,
    "/operator/saf/{id}/write-off": _write_off,
    "/operator/links/{link}/{command}": _link,
    "/operator/couriers/{courier_id}/unlock": _unlock,
    "/operator/couriers/{courier_id}/hand-in": _hand_in,
    "/operator/terminals/{terminal_id}/end-keys": _end_keys,
    "/operator/events/{event_id}/replay": _replay,
    "/operator/secrets/reload": _reload_secrets,
}


def operator_routes(context: Context, token: str) -> list[Route]:
    """The routes of all operator calls; none where there is no token."""
    if not token:
        return []

    def guarded(path: str, operation: Operation) -> Route:
        async def endpoint(request: Request) -> Response:
            if not _from_here(request):
                return JSONResponse({"error": "operators call from this machine"}, 403)
            if not _has_token(request, token):
                return JSONResponse({"error": "the token is wrong"}, 401)
            try:
                outcome = await operation(context, request)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                return JSONResponse({"error": str(error)}, 400)
            except BookError as error:
                return JSONResponse({"error": str(error)}, 503)
            refused = isinstance(outcome, Refused)
            log.info("operator", path=request.url.path, refused=refused)
            if isinstance(outcome, Refused):
                return JSONResponse({"error": outcome.reason}, 409)
            return JSONResponse(outcome)

        return Route(path, endpoint, methods=["POST"])

    return [guarded(path, operation) for path, operation in OPERATIONS.items()]


def _from_here(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _has_token(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    return hmac.compare_digest(given.encode("latin-1"), f"Bearer {token}".encode())


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
    return body
