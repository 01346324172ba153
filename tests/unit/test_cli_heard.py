"""A terminal shows what is heard while it is heard, and nothing of it stays."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from stt_engine.events import RecognitionProgressed, RecognitionStarted
from stt_tools.cli import heard as module
from stt_tools.cli.heard import heard


def _shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80, color_system=None, _environ={})
    monkeypatch.setattr(module, "err", console)
    with heard() as show:
        show(RecognitionStarted(path=Path("a.wav"), language="ko"))
        said = ((3.0, "네 [안녕]하세요"),)
        show(RecognitionProgressed(backend="x", channel=1, done_sec=12.4, heard=said))
    return out.getvalue()


def test_a_terminal_shows_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(monkeypatch, terminal=True)
    assert "3.0 네 [안녕]하세요" in shown
    assert "음성 변환 중: 채널 1, 12초까지" in shown
    assert shown.endswith("\x1b[2K")  # the last thing is to erase the last line


def test_a_file_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _shown(monkeypatch, terminal=False) == ""
