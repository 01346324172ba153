"""An exported case: whole, proved without the store, and every change of it found."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api_server.audit.archive import ArchiveInvalid, check_archive
from api_server.audit.note import Signer
from api_server.pipeline.result import CallResult
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Ending, Retention
from api_server.store.store import Store
from stt_engine.coverage import SpeechCoverage
from stt_engine.outcome import Outcome
from stt_engine.speech import Segment, Transcript, Word
from stt_tools.cli.program import app
from stt_tools.exits import CommandFailed
from tests.support.jobs_in_store import new_job

NUMBER = "010-1234-5678"
SPOKEN = Transcript(
    f"번호는 {NUMBER} <b>입니다</b>",
    "ko",
    2.0,
    "speech",
    segments=(
        Segment(
            0,
            0.0,
            2.0,
            f"번호는 {NUMBER} <b>입니다</b>",
            words=(
                Word(0.0, 0.5, "번호는", 0.9),
                Word(0.8, 1.2, f" {NUMBER}", 0.9),
                Word(1.6, 2.0, " <b>입니다</b>", 0.9),
            ),
        ),
    ),
    coverage=SpeechCoverage(1.0, 1.0, "yes"),
)


def sound(path: Path) -> bytes:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(random.Random(1).randbytes(2 * 32_000))
    return path.read_bytes()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kept"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path / 'cases.db'}")
    monkeypatch.setenv("RECORDINGS_RESERVE_BYTES", "0")
    monkeypatch.setenv("RETENTION_RECORDINGS_DAYS", "30")
    monkeypatch.chdir(tmp_path)
    return path


def store_at(kept: Path) -> Store:
    folder = RecordingFolder(kept / "recordings", 10**9, 0)
    return Store(kept / "cases.db", folder, retention=Retention(10**9))


@pytest.fixture
def case(kept: Path, tmp_path: Path) -> str:
    """A case with a recording and two revisions."""
    store = store_at(kept)
    store.submit(new_job(kept, sound(tmp_path / "call.wav")))
    (claimed,) = store.claim(10.0, 1)
    assert store.finish(claimed, Ending("done", answer(), 2.0))
    store.close()
    return claimed.id


def answer() -> str:
    return CallResult(Outcome(SPOKEN, "faster-whisper")).to_json().decode()


def run(*given: object, code: int = 0) -> str:
    found = CliRunner().invoke(app, [*map(str, given)])
    assert found.exit_code == code, (found.output, found.exception)
    return found.stdout


def files_in(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rewritten(archive: Path, files: dict[str, bytes]) -> Path:
    target = archive.with_name("changed.zip")
    with zipfile.ZipFile(target, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return target


def test_an_export_has_everything_and_is_proved_elsewhere(
    kept: Path, case: str, tmp_path: Path
) -> None:
    run("cases", "export", case)
    archive = tmp_path / f"{case}.zip"
    files = files_in(archive)
    assert set(files) == {
        "case.json",
        "coverage.json",
        "findings.json",
        "proof.json",
        "recording.wav",
        "revisions/1.json",
        "subtitles.srt",
        "subtitles.vtt",
        "transcript.html",
        "transcript.json",
    }
    assert files["revisions/1.json"].decode() == answer()
    assert files["recording.wav"] == (tmp_path / "call.wav").read_bytes()
    page = files["transcript.html"].decode()
    assert NUMBER in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'href="recording.wav#t=0.00,2.00"' in page
    assert archive.stat().st_mode & 0o077 == 0
    key = kept / "audit.pub"
    assert "as it was exported" in run("audit", "verify", archive, "--key", key)
    # The small program: another process, no store, no settings.
    command = [sys.executable, "-I", "-m", "api_server.audit", str(archive), str(key)]
    alone = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout.endswith("as it was exported\n")


def test_the_small_program_needs_neither_database_nor_server() -> None:
    code = (
        "import sys, api_server.audit.__main__\n"
        "bad = {'sqlalchemy', 'alembic', 'fastapi', 'pydantic', 'stt_engine'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_masked_export_shows_and_says_nothing_personal(case: str, tmp_path: Path) -> None:
    run("cases", "export", case, "--masked", "-o", "masked.zip")
    files = files_in(tmp_path / "masked.zip")
    assert not any(name.startswith("revisions/") for name in files)
    for name, content in files.items():
        assert b"1234" not in content or name in {"recording-masked.wav", "proof.json"}, name
    assert all(one["salt"] is None for one in json.loads(files["proof.json"])["entries"][:-1])
    (tmp_path / "masked.wav").write_bytes(files["recording-masked.wav"])
    with wave.open(str(tmp_path / "masked.wav")) as out:
        heard = out.readframes(out.getnframes())
    original = (tmp_path / "call.wav").read_bytes()[44:]
    same = [heard[at : at + 2] == original[at : at + 2] for at in range(0, len(original), 2)]
    first, last = int((0.8 - 0.25) * 16_000), int((1.2 + 0.25) * 16_000)
    assert all(same[: first - 1])
    assert all(same[last + 1 :])
    assert sum(same[first:last]) < 10
    told = run("audit", "verify", "masked.zip")
    assert "proved, and not in this archive: revision 1" in told


def test_every_change_of_an_archive_is_found(case: str, tmp_path: Path) -> None:
    run("cases", "export", case)
    archive = tmp_path / f"{case}.zip"
    files = files_in(archive)
    assert check_archive(rewritten(archive, files)).faults == ()
    for name, content in files.items():
        if name == "proof.json":
            continue
        faults = check_archive(rewritten(archive, {**files, name: content + b" "})).faults
        assert name in {one.where for one in faults}
        less = {one: kept for one, kept in files.items() if one != name}
        if name != "revisions/1.json":
            assert name in {one.where for one in check_archive(rewritten(archive, less)).faults}
    more = {**files, "revisions/2.json": b"{}"}
    assert [one.what for one in check_archive(rewritten(archive, more)).faults] == ["was added"]


def entry(proof: Any, at: int) -> Any:
    return proof["entries"][at]["entry"]


CHANGES: dict[str, Callable[[Any], object]] = {
    "actor": lambda proof: entry(proof, 0).update(actor="somebody"),
    "time": lambda proof: entry(proof, 0).update(at=1.0),
    "facts": lambda proof: entry(proof, 0).update(facts='{"revision": 3}'),
    "subject": lambda proof: entry(proof, 0).update(subject="case-2"),
    "case": lambda proof: proof.update(case="case-2"),
    "salt": lambda proof: proof["entries"][0].update(salt="00" * 32),
    "no salt": lambda proof: proof["entries"][0].update(salt=None),
    "left out": lambda proof: proof["entries"].pop(0),
    "no export": lambda proof: proof["entries"].pop(),
    "order": lambda proof: proof["entries"].reverse(),
    "path": lambda proof: proof["entries"][0]["path"].append("00" * 32),
    "recording": lambda proof: proof.update(recording_sha256="00" * 32),
    "files": lambda proof: proof["files"].pop("coverage.json"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_a_proof_is_found(case: str, tmp_path: Path, name: str) -> None:
    run("cases", "export", case)
    archive = tmp_path / f"{case}.zip"
    files = files_in(archive)
    proof = json.loads(files["proof.json"])
    CHANGES[name](proof)
    changed = rewritten(archive, {**files, "proof.json": json.dumps(proof).encode()})
    assert check_archive(changed).faults


def test_a_proof_of_another_log_is_refused(case: str, tmp_path: Path) -> None:
    run("cases", "export", case)
    with pytest.raises(ArchiveInvalid, match="not signed by"):
        check_archive(tmp_path / f"{case}.zip", Signer.new().verifier)
    (tmp_path / "text.zip").write_text("no archive", "utf-8")
    with pytest.raises(ArchiveInvalid, match="no archive"):
        check_archive(tmp_path / "text.zip")
    with pytest.raises(ArchiveInvalid, match=r"proof\.json"):
        check_archive(rewritten(tmp_path / "a", {"a": b""}))


def test_an_erased_case_is_exported_as_what_is_left(case: str, tmp_path: Path) -> None:
    run("cases", "hold", case, "--reason", "dispute")
    with pytest.raises(CommandFailed, match="held"):
        CliRunner().invoke(app, ["cases", "erase", case, "--yes"], catch_exceptions=False)
    run("cases", "release", case)
    run("cases", "erase", case, "--yes")
    run("cases", "export", case)
    files = files_in(tmp_path / f"{case}.zip")
    assert set(files) == {"case.json", "findings.json", "proof.json", "transcript.html"}
    report = check_archive(tmp_path / f"{case}.zip")
    assert [one.kind for one in report.entries] == [
        "answer",
        "hold",
        "release",
        "erasure",  # the texts, and the recording
        "erasure",
        "export",
    ]
    assert report.faults == ()
    assert run("audit", "verify").endswith("as it was written\n")


def test_an_archive_is_never_written_over(case: str, tmp_path: Path) -> None:
    target = tmp_path / f"{case}.zip"
    target.write_text("mine", "utf-8")
    with pytest.raises(CommandFailed, match="already"):
        CliRunner().invoke(app, ["cases", "export", case], catch_exceptions=False)
    assert target.read_text("utf-8") == "mine"
    with pytest.raises(CommandFailed, match="no case"):
        CliRunner().invoke(app, ["cases", "export", "case-0"], catch_exceptions=False)
    assert [one.name for one in tmp_path.glob("*.zip*")] == [target.name]


def test_encrypted_recordings_are_exported_as_they_came(
    kept: Path, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"one:{'A' * 43}=\n", "utf-8")
    monkeypatch.setenv("RECORDINGS_KEY_FILE", str(keys))
    assert run("db", "rekey") == "1 recordings and 3 rows of the database written anew\n"
    assert run("db", "rekey") == "0 recordings and 0 rows of the database written anew\n"
    content = (tmp_path / "call.wav").read_bytes()
    (stored,) = (kept / "recordings").glob("??/*")
    assert content[100:200] not in stored.read_bytes()
    run("cases", "export", case)
    assert files_in(tmp_path / f"{case}.zip")["recording.wav"] == content


def test_the_log_is_checked_and_signed_by_command(kept: Path, case: str) -> None:
    note = run("audit", "checkpoint")
    assert (kept / "audit.checkpoints").read_text("utf-8") == f"{note}\n"
    assert run("audit", "verify") == "1 entries, 1 of them signed\nas it was written\n"
    store = store_at(kept)
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE revisions SET answer = '{}'")
    store.close()
    told = run("audit", "verify", code=1)
    assert f"CHANGED entry 0: revision 1 of {case} is not what was recorded" in told
    found = json.loads(run("audit", "verify", "--json", code=1))
    assert [one["where"] for one in found["faults"]] == ["entry 0"]


def test_a_copy_of_the_store_is_a_store(
    kept: Path, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("audit", "checkpoint")
    run("db", "backup", tmp_path / "copy")
    assert not (tmp_path / "copy" / "audit.key").exists()
    key = (kept / "audit.pub").read_text("utf-8").strip()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'copy' / 'cases.db'}")
    assert run("db", "check") == "sound\n"
    assert "as it was written" in run("audit", "verify", "--key", key)
    (recording,) = (tmp_path / "copy" / "recordings").glob("??/*")
    recording.unlink()
    assert "its file is gone" in run("db", "check", code=1)


def test_a_log_that_was_cut_is_not_signed_again(kept: Path, case: str) -> None:
    run("audit", "checkpoint")
    store = store_at(kept)
    with store._database.write() as connection:
        for words in (
            "DROP TRIGGER audit_no_delete",
            "DELETE FROM audit_salts",
            "DELETE FROM audit_entries",
        ):
            connection.exec_driver_sql(words)
    store.close()
    with pytest.raises(CommandFailed, match="is not the one"):
        CliRunner().invoke(app, ["audit", "checkpoint"], catch_exceptions=False)
