"""A report as an Excel workbook and as a PNG chart.

The workbook holds numbers, not texts, with a currency's decimals as their format; the chart shows
gross and net due, a bar a line. Sources: XlsxWriter, Pillow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xlsxwriter  # type: ignore[import-untyped]
from PIL import Image, ImageDraw, ImageFont

from acquirer.codecs.currencies import currency_name
from acquirer.codecs.money import decimals, format_minor
from acquirer.ledger.reports.settlement import COLUMNS, ReportLine

BAR_HEIGHT, GAP, MARGIN, LABELS, AMOUNTS, WIDTH, HEAD = 26, 12, 24, 240, 290, 1100, 68
FONT_SIZE = 15
CHINESE_FONTS = ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc")
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
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


def write_chart(path: Path, title: str, lines: list[ReportLine], names: Mapping[str, str]) -> int:
    """Write a PNG: per line the gross by card and in cash, the fees in it, and the net due.

    Args:
        names: of the groups, where they have others than their own.

    Returns:
        How many lines are in it; those after the 60th are not.

    Raises:
        OSError: the file cannot be written.
    """
    shown = lines[:BARS_MAX]
    height = HEAD + max(len(shown), 1) * (BAR_HEIGHT + GAP) + MARGIN
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    font = _font()
    draw.text((MARGIN, 12), f"{title}: gross, and net due", fill=TEXT, font=font)
    at = float(MARGIN)
    for words, colour in (
        ("gross by card", CARD),
        ("gross in cash", CASH),
        ("fees in it", FEES),
    ):
        draw.text((at, 36), words, fill=colour, font=font)
        at += draw.textlength(words + "    ", font=font)
    if not shown:
        draw.text((MARGIN, HEAD + 4), "no payments", fill=TEXT, font=font)
    # A bar's length compares amounts of one currency only.
    most: dict[str, int] = {}
    for line in shown:
        paid = line.card_minor + line.cash_minor
        most[line.currency_code] = max(most.get(line.currency_code, 1), paid)
    for index, line in enumerate(shown):
        top = HEAD + index * (BAR_HEIGHT + GAP)
        label = _legible(names.get(line.group, line.group), font) or line.group
        draw.text((MARGIN, top + 4), _fitting(draw, label, font), fill=TEXT, font=font)
        _draw_bar(draw, font, line, top, most[line.currency_code])
    image.save(path, "PNG")
    return len(shown)


def _draw_bar(draw: ImageDraw.ImageDraw, font: Font, line: ReportLine, top: int, most: int) -> None:
    room = WIDTH - LABELS - 2 * MARGIN - AMOUNTS
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
    gross = format_minor(line.card_minor + line.cash_minor, line.currency_code)
    net = format_minor(line.net_minor, line.currency_code)
    words = f"{currency_name(line.currency_code)} {gross}, net {net}"
    draw.text((left + 8, top + 4), words, fill=TEXT, font=font)


def _font() -> Font:
    """A font with Chinese characters, where this machine has one; else pillow's own."""
    for name in CHINESE_FONTS:
        try:
            return ImageFont.truetype(name, FONT_SIZE)
        except OSError:
            continue
    return ImageFont.load_default(FONT_SIZE)


def _legible(text: str, font: Font) -> str:
    """A text without the characters that pillow's own font does not have."""
    is_chinese = isinstance(font, ImageFont.FreeTypeFont) and font.path in CHINESE_FONTS
    return text if is_chinese else text.encode("latin-1", "ignore").decode("latin-1").strip()


def _fitting(draw: ImageDraw.ImageDraw, label: str, font: Font) -> str:
    """A label, cut where it would reach into the bars."""
    if draw.textlength(label, font=font) <= LABELS - GAP:
        return label
    while label and draw.textlength(f"{label}...", font=font) > LABELS - GAP:
        label = label[:-1]
    return f"{label}..."
