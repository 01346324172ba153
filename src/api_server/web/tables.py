"""Tables that people take away: CSV and XLSX. What is text in them stays text in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import xlsxwriter

Value = str | int | float | date | datetime | None

_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_LONGEST = 32_000
_WIDEST = 48


def as_csv(head: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """Return a table as CSV in UTF-8 with the mark that Excel needs to read Korean."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([harmless(one) for one in head])
    for row in rows:
        writer.writerow([_cell(one) for one in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def as_xlsx(title: str, head: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """Return a table as an Excel file with one sheet; nothing in it is a formula or a link."""
    out = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
        "remove_timezone": True,
    }
    book = xlsxwriter.Workbook(out, options)
    sheet = book.add_worksheet(title[:31])
    formats = {
        date: book.add_format({"num_format": "yyyy-mm-dd"}),
        datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
    }
    widths = [len(one) for one in head]
    sheet.write_row(0, 0, head, book.add_format({"bold": True, "bottom": 1}))
    for number, row in enumerate(rows, 1):
        for column, one in enumerate(row):
            if isinstance(one, (date, datetime)):
                sheet.write_datetime(number, column, one, formats[type(one)])
            elif isinstance(one, str):
                sheet.write_string(number, column, one[:_LONGEST])
            elif one is not None:
                sheet.write_number(number, column, one)
            shown = 16 if isinstance(one, datetime) else len(str(one or ""))
            widths[column] = max(widths[column], min(_WIDEST, shown))
    for column, width in enumerate(widths):
        # Letters of Korean are as wide as two digits.
        sheet.set_column(column, column, min(_WIDEST, 2 + 1.4 * width))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(1, sheet.dim_rowmax or 0), len(head) - 1)
    book.close()
    return out.getvalue()


def harmless(text: str) -> str:
    """Return words of others as a spreadsheet shows them, and never as a formula that it runs."""
    return f"'{text}" if text.lstrip(" \u00a0\u3000").startswith(_BEGINS_FORMULA) else text


def _cell(value: Value) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes")
    if isinstance(value, date):
        return value.isoformat()
    return harmless(value) if isinstance(value, str) else value
