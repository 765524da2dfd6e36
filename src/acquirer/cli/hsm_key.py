"""``acquirer hsm key``: keys under an LMK, made, brought in, sent out and explained.

Each command does what a host command does, in this process, with the module's LMKs, and whoever
can open these is the operator: nothing needs to be authorised. Keys print under an LMK or a ZMK;
clear components come from and go to files or unseen prompts.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from acquirer.cli.hsm_output import (
    EXIT_REFUSED,
    ConfigOption,
    JsonOption,
    LmkOption,
    TestLmksOption,
    chosen_lmk,
    hexadecimal,
    open_module,
    read_secret,
    secret_folder,
    show,
    telling_refusals,
    write_secret,
)
from acquirer.hsm_sim import explain as explaining
from acquirer.hsm_sim import operator
from acquirer.hsm_sim.command_layouts import reply_fields
from acquirer.hsm_sim.crypto import aes, kcv
from acquirer.hsm_sim.errors import ERROR_TEXTS, HsmConfigError, Refusal
from acquirer.hsm_sim.key_types import KEY_TYPES
from acquirer.hsm_sim.module import SecurityModule

app = typer.Typer(name="key", help="Keys under an LMK.", no_args_is_help=True)

TypeOption = Annotated[
    str, typer.Option("--type", help="Key type, such as 001 ZPK, 002 TPK, 000 ZMK; FFF any.")
]
SchemeOption = Annotated[
    str,
    typer.Option("--scheme", help="Z, U, T, X, Y under a variant LMK, S under a key block LMK."),
]
AttributesOption = Annotated[
    str,
    typer.Option(
        "--attributes",
        help="Of a key block: usage 2, algorithm 2, mode 1, version 2, exportability 1: 72T2B00E.",
    ),
]
ZmkOption = Annotated[str, typer.Option("--zmk", help="A ZMK under the LMK.")]
ExportSchemeOption = Annotated[
    str, typer.Option("--export-scheme", help="Z, U, T, X, Y, S or R (TR-31) under the ZMK.")
]


@app.command("generate")
def generate(
    key_type: TypeOption = "001",
    scheme: SchemeOption = "",
    attributes: AttributesOption = "",
    zmk: ZmkOption = "",
    export_scheme: ExportSchemeOption = "",
    lmk: LmkOption = "",
    config: ConfigOption = None,
    test_lmks: TestLmksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a random key under the LMK, and under a ZMK where one is given.

    Example: acquirer hsm key generate --test-lmks --type 001 --scheme U

    Example: acquirer hsm key generate --test-lmks --lmk 02 --type FFF --attributes 72A1B00E
    """
    with telling_refusals():
        module = open_module(config, test_lmks, authorised=True)
        head = f"A0{'1' if zmk else '0'}{key_type}{scheme or _scheme(module, lmk)}"
        exported = f";0{zmk}{export_scheme or 'X'}" if zmk else ""
        show(carry_out(module, head + exported + _tail(lmk, attributes)), as_json)


@app.command("import")
def import_key(
    zmk: ZmkOption,
    key: Annotated[str, typer.Argument(help="The key under the ZMK, in any scheme.")],
    key_type: TypeOption = "001",
    scheme: SchemeOption = "",
    attributes: AttributesOption = "",
    lmk: LmkOption = "",
    config: ConfigOption = None,
    test_lmks: TestLmksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a key from under a ZMK to the LMK; parity is mended and told.

    Example: acquirer hsm key import --config hsm.toml --type 001 --zmk U… X…
    """
    with telling_refusals():
        module = open_module(config, test_lmks, authorised=True)
        chosen = scheme or _scheme(module, lmk)
        request = f"A6{key_type}{zmk}{key}{chosen}{_tail(lmk, attributes)}"
        show(carry_out(module, request), as_json)


@app.command("export")
def export_key(
    zmk: ZmkOption,
    key: Annotated[str, typer.Argument(help="The key under the LMK.")],
    key_type: TypeOption = "001",
    export_scheme: ExportSchemeOption = "X",
    attributes: AttributesOption = "",
    exportability: Annotated[
        str, typer.Option("--exportability", help="Of the key block that leaves: E, N or S.")
    ] = "",
    lmk: LmkOption = "",
    config: ConfigOption = None,
    test_lmks: TestLmksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send a key from under the LMK to a ZMK.

    Example: acquirer hsm key export --config hsm.toml --type 001 --zmk U… U… --export-scheme R
    """
    with telling_refusals():
        module = open_module(config, test_lmks, authorised=True)
        tail = _tail(lmk, attributes) + (f"&{exportability}" if exportability else "")
        show(carry_out(module, f"A8{key_type}{zmk}{key}{export_scheme}{tail}"), as_json)


@app.command("components")
def components(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Component files, in hexadecimal digits.")
    ] = None,
    make: Annotated[
        int, typer.Option("--make", min=0, max=9, help="Make so many new components instead.")
    ] = 0,
    directory: Annotated[
        Path | None, typer.Option("--directory", help="Where --make writes its files.")
    ] = None,
    prompts: Annotated[
        int, typer.Option("--prompt", min=0, max=9, help="Ask for so many components, unseen.")
    ] = 0,
    key_type: TypeOption = "000",
    scheme: SchemeOption = "",
    attributes: AttributesOption = "",
    lmk: LmkOption = "",
    config: ConfigOption = None,
    test_lmks: TestLmksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Form a key from clear components, or make components of a new one for its custodians.

    Example: acquirer hsm key components --config hsm.toml --prompt 3

    Example: acquirer hsm key components --config hsm.toml --make 2 --directory safe/

    Clear components go to files (mode 600) only; on the terminal stand their check values.
    """
    with telling_refusals():
        module = open_module(config, test_lmks)
        chosen = chosen_lmk(module, lmk)
        wanted = operator.attributes(attributes) if attributes else None
        header = wanted.header if wanted else None
        is_aes = header is not None and header.algorithm == "A"
        facts: list[tuple[str, str]] = []
        if make:
            if directory is None:
                raise HsmConfigError("--make needs --directory")
            secret_folder(directory)
            size = wanted.key_bytes if wanted else 16
            parts = operator.new_components(size, make, secrets.token_bytes, is_aes=is_aes)
            for number, part in enumerate(parts, 1):
                write_secret(directory / f"component-{number}.txt", part)
        else:
            parts = [read_secret(path) for path in files or []]
            for number in range(len(parts) + 1, len(parts) + prompts + 1):
                typed = typer.prompt(f"Component {number}", hide_input=True, err=True)
                parts.append(hexadecimal(typed, f"component {number}"))
        for number, part in enumerate(parts, 1):
            facts.append((f"KCV of component {number}", _kcv(part, is_aes)))
        clear = operator.combined(parts, is_aes=is_aes)
        text_scheme = scheme or _scheme(module, lmk, len(clear))
        facts.append(
            (
                "key under the LMK",
                operator.wrap_key(chosen, key_type, clear, text_scheme, header),
            )
        )
        show([*facts, ("KCV", _kcv(clear, is_aes))], as_json)


@app.command("translate")
def translate(
    key: Annotated[str, typer.Argument(help="The key under the LMK that it shall leave.")],
    to_lmk: Annotated[str, typer.Option("--to-lmk", help="Id of the LMK it shall stand under.")],
    key_type: TypeOption = "001",
    scheme: SchemeOption = "",
    attributes: AttributesOption = "",
    lmk: LmkOption = "",
    config: ConfigOption = None,
    test_lmks: TestLmksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a key from one LMK to another, such as from a variant to a key block LMK.

    Example: acquirer hsm key translate --test-lmks --lmk 00 --to-lmk 02 --type 001 U…
    """
    with telling_refusals():
        module = open_module(config, test_lmks)
        source, destination = chosen_lmk(module, lmk), chosen_lmk(module, to_lmk)
        size = len(source.key((operator.role_of(key_type), key)).clear)
        header = operator.attributes(attributes).header if attributes else None
        text, check = operator.translate_key(
            source, destination, key_type, key, scheme or _scheme(module, to_lmk, size), header
        )
        show([("key under the LMK", text), ("KCV", check)], as_json)


@app.command("explain")
def explain(
    key: Annotated[str, typer.Argument(help="A key in any scheme.")] = "",
    command: Annotated[
        str, typer.Option("--command", help="A host command to carry out and explain.")
    ] = "",
    key_type: Annotated[
        str, typer.Option("--type", help="The key type it is wanted as; left out, any.")
    ] = "",
    zmk: Annotated[str, typer.Option("--zmk", help="The ZMK that the key stands under.")] = "",
    lmk: LmkOption = "",
    config: ConfigOption = None,
    test_lmks: TestLmksOption = False,
    authorised: Annotated[bool, typer.Option("--authorised")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say in words what a key is, or why a key or a command is refused; exit code 1 if it is.

    Example: acquirer hsm key explain --test-lmks --lmk 01 S00072K0TB00E0001…

    Example: acquirer hsm key explain --test-lmks --command 'BU0200406FBB23A5214DF'

    Prints neither keys in clear nor PINs.
    """
    with telling_refusals():
        module = open_module(config, test_lmks, authorised=authorised)
        if bool(key) == bool(command):
            raise HsmConfigError("explain takes a key or --command")
        if command:
            found = explaining.explain_command(module, request_bytes(command))
        else:
            role = operator.role_of(key_type) if key_type else None
            found = explaining.explain_key(chosen_lmk(module, lmk), key, role, zmk)
        show(found.facts, as_json)
    if not found.accepted:
        raise typer.Exit(EXIT_REFUSED)


@app.command("types")
def types(as_json: JsonOption = False) -> None:
    """List the key types with the key block usages that belong to them.

    Example: acquirer hsm key types
    """
    show(
        (
            (code, f"{role.name}; key block usages {', '.join(role.usages) or 'any'}")
            for code, role in sorted(KEY_TYPES.items())
        ),
        as_json,
    )


def request_bytes(text: str) -> bytes:
    """A request as somebody types it: Latin-1, with ``\\xNN`` for bytes that have no key.

    >>> request_bytes(r"NC\\x19end")
    b'NC\\x19end'

    Raises:
        HsmConfigError: it holds characters or escapes that are no bytes.
    """
    head, *parts = text.split("\\x")
    try:
        joined = head + "".join(chr(int(part[:2], 16)) + part[2:] for part in parts)
        return joined.encode("latin-1")
    except ValueError:
        raise HsmConfigError("a request is Latin-1 text, with \\xNN for other bytes") from None


def carry_out(module: SecurityModule, request: str) -> list[tuple[str, str]]:
    """The fields of a host command's reply.

    Raises:
        Refusal: it was refused.
    """
    module.last_refusal = None
    reply = module.execute(request_bytes(request)).decode("latin-1")
    if module.last_refusal is not None:
        refusal: Refusal = module.last_refusal
        raise refusal
    facts = reply_fields(request[:2], reply[4:])
    if reply[2:4] != "00":
        facts.append(("advisory", f"{reply[2:4]}: {ERROR_TEXTS.get(reply[2:4], '')}"))
    return facts


def _tail(lmk: str, attributes: str) -> str:
    """The optional end of a request: LMK id, key block attributes."""
    return (f"%{lmk}" if lmk else "") + (f"#{attributes}00" if attributes else "")


def _scheme(module: SecurityModule, lmk: str, size: int = 16) -> str:
    """The scheme that keys of a length have under an LMK where nobody says another."""
    if chosen_lmk(module, lmk).uses_blocks:
        return "S"
    return {8: "Z", 16: "U", 24: "T"}.get(size, "U")


def _kcv(clear: bytes, is_aes: bool) -> str:
    if is_aes:
        aes.cipher(clear)
        return kcv.kcv_aes(clear)
    return kcv.kcv(clear)
