"""A case as one page of HTML that needs nothing else: no script, no style sheet, no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from api_server.pipeline.render.cues import name_of
from stt_engine.speech import Transcript

_STYLE = (
    "body{font:16px/1.6 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}"
)
_STATUS = {
    "violated": "위반",
    "satisfied": "이행",
    "not_found": "확인되지 않음",
    "not_applicable": "해당 없음",
    "undetermined": "판단 불가",
}


def build_page(
    title: str,
    facts: Mapping[str, str],
    transcript: Transcript | None,
    findings: Sequence[Mapping[str, Any]],
    recording: str | None,
) -> str:
    """Return the page.

    Args:
        title: its heading.
        facts: shown first, by their names.
        transcript: what was said, where that is there.
        findings: elements as an answer has them, or without their words.
        recording: the name of the archive's recording: times lead into it.
    """
    parts = [
        '<!doctype html><html lang="ko"><meta charset="utf-8">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        _table([], ((escape(name), escape(value)) for name, value in facts.items())),
    ]
    if recording is not None:
        parts.append(f'<p><audio controls src="{quote(recording)}"></audio></p>')
    if findings:
        parts += [
            "<h2>점검 결과</h2>",
            _table(["항목", "결과", "근거"], _found(findings, recording)),
        ]
    if transcript is None:
        parts.append("<p>통화 내용은 보관되어 있지 않습니다.</p>")
    else:
        parts += [
            "<h2>통화 내용</h2>",
            _table(["시각", "화자", "내용"], _said(transcript, recording)),
        ]
        parts.append(_unheard(transcript))
    return "\n".join([*parts, "</html>\n"])


def _found(findings: Iterable[Mapping[str, Any]], recording: str | None) -> Iterator[list[str]]:
    for one in findings:
        status = _STATUS.get(str(one["status"]), str(one["status"]))
        evidence = "<br>".join(
            _link(each.get("start"), each.get("end"), recording)
            + escape(f" {each.get('quote') or ''}".rstrip())
            + _clip(each.get("start"), each.get("end"), recording)
            for each in one.get("evidence", ())
        )
        yield [escape(str(one["title"])), escape(status), evidence]


def _said(transcript: Transcript, recording: str | None) -> Iterator[list[str]]:
    for one in sorted(transcript.segments, key=lambda one: (one.start, one.channel)):
        speaker = name_of(one.speaker, "ko") or f"채널 {one.channel + 1}"
        yield [_link(one.start, one.end, recording), escape(speaker), escape(one.text)]


def _unheard(transcript: Transcript) -> str:
    coverage = transcript.coverage
    if coverage is None:
        return "<p>녹취 중 얼마가 글로 옮겨졌는지는 알 수 없습니다.</p>"
    rows = [
        [_clock(one.start) + "–" + _clock(one.end), escape(one.reason)] for one in coverage.unheard
    ]
    told = "알 수 없음" if coverage.share is None else f"{coverage.share:.1%}"
    share = f"<h2>글로 옮겨진 비율: {told}</h2>"
    return share + (_table(["글이 없는 구간", "이유"], rows) if rows else "")


def _link(start: float | None, end: float | None, recording: str | None) -> str:
    if start is None or end is None:
        return ""
    words = f"{_clock(start)}–{_clock(end)}"
    if recording is None:
        return words
    return f'<a href="{quote(recording)}#t={start:.2f},{end:.2f}">{words}</a>'


def _clip(start: float | None, end: float | None, recording: str | None) -> str:
    """Return a player of a part of the recording; nothing is loaded before it is played."""
    if start is None or end is None or recording is None:
        return ""
    source = f"{quote(recording)}#t={start:.2f},{end:.2f}"
    return f'<br><audio controls preload="none" src="{source}"></audio>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already."""
    top = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<tr>{top}</tr>' if head else ''}{body}</table>"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"
