"""A report as an Excel workbook and as a PNG chart.

The workbook holds numbers, not texts, with a currency's decimals as their format; the chart shows
the net due by means of bars, one a line. Sources: XlsxWriter, Pillow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xlsxwriter  # type: ignore[import-untyped]
from PIL import Image, ImageDraw, ImageFont

from acquirer.codecs.money import decimals, format_minor
from acquirer.ledger.reports.settlement import COLUMNS, ReportLine

BAR_HEIGHT, GAP, MARGIN, LABELS, WIDTH, HEAD = 26, 12, 24, 240, 1000, 60
BARS_MAX = 60
CARD, CASH, FEES, TEXT = "#2f6fab", "#5aa469", "#c9a227", "#222222"


def write_workbook(
    path: Path, title: str, lines: list[ReportLine], headings: Mapping[str, str]
) -> int:
    """Write a workbook of one sheet.

    Returns:
        How many lines are in it.

    Raises:
        OSError: the file cannot be written.
    """
    options = {"strings_to_formulas": False, "strings_to_urls": False}
    try:
        with xlsxwriter.Workbook(str(path), options) as book:
            sheet = book.add_worksheet("report")
            bold = book.add_format({"bold": True})
            sheet.write_string(0, 0, title, bold)
            for column, heading in enumerate(("group", "currency", *headings.values())):
                sheet.write_string(2, column, heading, bold)
            for row, line in enumerate(lines, start=3):
                places = decimals(line.currency_code)
                money = book.add_format(
                    {"num_format": "#,##0" + ("." + "0" * places) * (places > 0)}
                )
                sheet.write_string(row, 0, line.group)
                sheet.write_string(row, 1, line.currency_code)
                for column, name in enumerate(COLUMNS, start=2):
                    value = getattr(line, name)
                    if name.endswith("_minor"):
                        sheet.write_number(row, column, value / 10**places, money)
                    else:
                        sheet.write_number(row, column, value)
            sheet.freeze_panes(3, 2)
            sheet.set_column(0, len(COLUMNS) + 1, 14)
    except xlsxwriter.exceptions.FileCreateError as error:
        raise error.args[0] from None
    return len(lines)


def write_chart(path: Path, title: str, lines: list[ReportLine]) -> int:
    """Write a PNG: per line what was paid by card and in cash, and the fees in it.

    Returns:
        How many lines are in it; those after the 60th are not.

    Raises:
        OSError: the file cannot be written.
    """
    shown = lines[:BARS_MAX]
    height = HEAD + max(len(shown), 1) * (BAR_HEIGHT + GAP) + MARGIN
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(15)
    at = float(MARGIN)
    for words, colour in ((title, TEXT), ("card", CARD), ("cash", CASH), ("fees", FEES)):
        draw.text((at, 14), words, fill=colour, font=font)
        at += draw.textlength(words + "   ", font=font)
    most = max((line.card_minor + line.cash_minor for line in shown), default=0) or 1
    room = WIDTH - LABELS - 2 * MARGIN - 130
    for index, line in enumerate(shown):
        top = HEAD + index * (BAR_HEIGHT + GAP)
        label = line.group.encode("latin-1", "replace").decode("latin-1")
        draw.text((MARGIN, top + 4), f"{label} {line.currency_code}", fill=TEXT, font=font)
        left = MARGIN + LABELS
        for part, colour in ((line.card_minor, CARD), (line.cash_minor, CASH)):
            wide = room * part // most
            if wide:
                draw.rectangle((left, top, left + wide, top + BAR_HEIGHT), fill=colour)
            left += wide
        fees = max(room * line.fee_minor // most, 1 if line.fee_minor else 0)
        if fees:
            box = (left - fees, top + BAR_HEIGHT - 5, left, top + BAR_HEIGHT)
            draw.rectangle(box, fill=FEES)
        paid = format_minor(line.card_minor + line.cash_minor, line.currency_code)
        draw.text((left + 8, top + 4), paid, fill=TEXT, font=font)
    image.save(path, "PNG")
    return len(shown)
