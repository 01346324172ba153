"""``stt-engine jobs`` and ``cases``, on a store without a server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api_server.pipeline.result import CallResult
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Ending
from api_server.store.store import Store
from stt_engine.outcome import Outcome
from stt_engine.speech import Segment, Transcript
from stt_tools.cli.program import app
from stt_tools.exits import CommandFailed

SPOKEN = Transcript(
    "안녕하세요", "ko", 3.0, "speech", segments=(Segment(0, 0.0, 1.0, "안녕하세요"),)
)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'kept' / 'cases.db'}")
    monkeypatch.setenv("RECORDINGS_RESERVE_BYTES", "0")
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("b.wav", "a.wav", "note.txt"):
        (folder / name).write_bytes(name.encode())
    return folder


def store_of(calls: Path) -> Store:
    kept = calls.parent / "kept"
    return Store(kept / "cases.db", RecordingFolder(kept / "recordings", 10**9, 0))


def run(*given: object, code: int = 0) -> Any:
    found = CliRunner().invoke(app, [*map(str, given), "--json"])
    assert found.exit_code == code, found.output
    return json.loads(found.stdout)


def submit(calls: Path, *given: object) -> dict[str, Any]:
    job: dict[str, Any] = run("jobs", "submit", calls, "--pattern", "*.wav", *given)
    return job


def test_without_a_store_there_is_nothing_and_nothing_is_made(calls: Path) -> None:
    assert run("jobs", "list")["jobs"] == run("cases", "list")["cases"] == []
    assert not (calls.parent / "kept").exists()


def test_a_folder_is_a_job_that_a_server_finds(calls: Path) -> None:
    job = submit(calls, "--metadata", '{"a": 1}', "--priority", 2, "--language", "English")
    assert (job["cases"], job["metadata"], job["priority"]) == (2, {"a": 1}, 2)
    assert job["options"]["language"] == "en"
    names = [one["name"] for one in run("cases", "list", "--job", job["id"])["cases"]]
    assert names == [str(calls / "b.wav"), str(calls / "a.wav")]
    (calls / "a.wav").unlink()
    store = store_of(calls)
    claimed = store.claim(60.0, 9)
    contents = {store._recordings.path(one.recording or "").read_bytes() for one in claimed}
    assert contents == {b"a.wav", b"b.wav"}
    store.close()


def test_the_same_key_is_the_same_job(calls: Path) -> None:
    first = submit(calls, "--idempotency-key", "k")
    assert submit(calls, "--idempotency-key", "k")["id"] == first["id"]
    with pytest.raises(CommandFailed, match="another request"):
        _invoke("jobs", "submit", calls / "note.txt", "--idempotency-key", "k")


def test_cancelled_and_tried_again(calls: Path) -> None:
    job = submit(calls)["id"]
    assert run("jobs", "cancel", job)["state"] == "cancelled"
    assert run("jobs", "retry", job)["counts"]["queued"] == 2
    assert run("jobs", "show", job)["state"] == "queued"
    assert [one["id"] for one in run("jobs", "list")["jobs"]] == [job]


def test_a_job_shows_why_cases_were_not_done(calls: Path) -> None:
    job = submit(calls)["id"]
    store = store_of(calls)
    first, _ = store.claim(60.0, 9)
    store.finish(first, Ending("failed", error_type="OutOfMemory", error="no memory"))
    store.close()
    shown = CliRunner().invoke(app, ["jobs", "show", job]).stdout.splitlines()
    assert len(shown) == 2
    assert shown[1].endswith("OutOfMemory: no memory")
    assert first.id in shown[1]


def test_a_case_shows_its_answer_and_one_without_is_1(calls: Path) -> None:
    submit(calls)
    store = store_of(calls)
    first, second = store.claim(60.0, 9)
    answer = CallResult(Outcome(SPOKEN, "faster-whisper")).to_json().decode()
    store.finish(first, Ending("done", answer, 3.0))
    store.close()
    assert run("cases", "show", first.id)["answer"]["text"] == "안녕하세요"
    assert run("cases", "show", second.id, code=1)["answer"] is None
    (listed,) = run("cases", "list", "--state", "done")["cases"]
    assert listed["id"] == first.id
    shown = CliRunner().invoke(app, ["cases", "show", first.id])
    assert "안녕하세요" in shown.stdout


def test_a_case_is_shown_as_subtitles_of_its_translation_too(calls: Path) -> None:
    options = ("--translate", "--keyword", "한빛 펀드", "--keyword", "ELS", "--prompt", "네.")
    job = submit(calls, *options, "--temperature", 0.2)
    assert job["options"]["hints"] == {"prompt": "네.", "keywords": ["한빛 펀드", "ELS"]}
    assert (job["options"]["translate"], job["options"]["temperature"]) == (True, 0.2)
    english = replace(SPOKEN, text_en="Hello", segments_en=(Segment(0, 0.0, 1.0, "Hello"),))
    store = store_of(calls)
    first, second = store.claim(60.0, 9)
    for claimed, heard in ((first, english), (second, SPOKEN)):
        answer = CallResult(Outcome(heard, "faster-whisper")).to_json().decode()
        store.finish(claimed, Ending("done", answer, 3.0))
    store.close()
    shown = [
        CliRunner().invoke(app, ["cases", "show", case, "--format", "srt", *more])
        for case, more in ((first.id, ()), (first.id, ("--english",)), (second.id, ("--english",)))
    ]
    assert [one.exit_code for one in shown] == [0, 0, 1]
    assert ["안녕하세요" in one.stdout for one in shown] == [True, False, False]
    assert ["Hello" in one.stdout for one in shown] == [False, True, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("jobs", "show", "job-0"), "no job job-0"),
        (("cases", "show", "case-0"), "no case case-0"),
        (("jobs", "submit", "/nowhere"), "no such file"),
        (("jobs", "submit", "{calls}", "--pattern", "*.mp3"), "no recording in"),
        (("jobs", "submit", "{calls}", "--metadata", "[]"), "JSON object"),
        (("jobs", "submit", "{calls}", "--language", "klingon"), "klingon"),
        (("jobs", "submit", "{calls}", "--keyword", "가"), "keywords"),
        (("cases", "show", "case-0", "--format", "ssa"), "ssa"),
        (("cases", "show", "case-0", "--english"), "--format"),
    ],
)
def test_what_cannot_be_done_is_told(calls: Path, given: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        _invoke(*(one.replace("{calls}", str(calls)) for one in given))


def _invoke(*given: object) -> None:
    CliRunner().invoke(app, [*map(str, given)], catch_exceptions=False, standalone_mode=False)


def test_webhooks_are_listed_and_sent_again(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("webhooks", "list")["webhooks"] == []
    monkeypatch.setenv("WEBHOOK_ALLOWED_URLS", "https://example.com/hooks")
    monkeypatch.setenv("WEBHOOK_SECRETS", "whsec_" + "A" * 32)
    with pytest.raises(CommandFailed, match="WEBHOOK_ALLOWED_URLS"):
        CliRunner().invoke(
            app,
            ["jobs", "submit", str(calls), "--webhook-url", "http://10.0.0.1/"],
            catch_exceptions=False,
        )
    job = submit(calls, "--webhook-url", "https://example.com/hooks/me")
    run("jobs", "cancel", job["id"])
    store = store_of(calls)
    (sent,) = store.outbox.claim(10.0, 1)
    store.outbox.note_undelivered(sent, "HTTP 410", None)
    store.close()
    (dead,) = run("webhooks", "list", "--status", "dead")["webhooks"]
    assert (dead["id"], dead["event"], dead["error"]) == (sent.id, "job.done", "HTTP 410")
    assert run("webhooks", "resend", "--dead") == {"queued": 1}
    assert run("webhooks", "resend", sent.id) == {"queued": 1}
    (queued,) = run("webhooks", "list")["webhooks"]
    assert (queued["status"], queued["tries"]) == ("pending", 0)
