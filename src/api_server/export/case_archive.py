"""Write the archive of a case: whole, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from api_server.audit.archive import PROOF, RECORDING, revision_file
from api_server.export.beeped import write_beeped
from api_server.export.masking import MaskedCall, mask_call
from api_server.export.page import build_page
from api_server.pii.names import mask_name
from api_server.pipeline.render import answers, cases, subtitles
from api_server.pipeline.result import CallResult
from api_server.store.recordings import RecordingFolder
from api_server.store.records import CaseFile
from api_server.store.store import Store
from stt_engine.speech import DecodedAudio, Transcript
from stt_engine.system.tempdirs import scratch_folder

BEEPED = "recording-masked.wav"
"""The name of a recording in which personal data is beeped out."""

Decoder = Callable[[Path], AbstractContextManager[DecodedAudio]]
"""Decodes a recording for as long as the context lasts."""

_KEPT_OF_EVIDENCE = ("segment_id", "start", "end", "channel")
_LONGEST_ENDING = 8


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of an export; ``recording`` is its name, ``None`` where there is none in it.

    ``missing`` says why.
    """

    recording: str | None
    missing: str | None


class CaseArchive:
    """Exports cases of one store.

    Args:
        store: the store.
        recordings: its recordings.
        decoder: for recordings in which something is beeped out.
    """

    def __init__(self, store: Store, recordings: RecordingFolder, decoder: Decoder) -> None:
        self._store = store
        self._recordings = recordings
        self._decoder = decoder

    def write(self, identity: str, target: Path, actor: str, *, masked: bool) -> Exported:
        """Write the archive of a case to ``target``, which must not be there yet.

        With ``masked`` personal data is hidden in the text and beeped out of the recording, and the
        revisions are proved without being shown. The export is in the log before the file is.

        Raises:
            NoSuchCase: there is none.
            FileExistsError: ``target`` is there.
            OSError: it cannot be written.
            AudioRejected, WorkerError, RedactionFailed: what is to be masked cannot be.
            KeyMissing, LogBroken, StoreUnavailable: there would be no proof.
        """
        case = self._store.ledger.case_file(identity)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        if target.exists():
            raise FileExistsError(f"{target} is there already")
        try:
            with (
                unfinished.open("xb") as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            ):
                unfinished.chmod(0o600)
                builder = _Builder(archive, case, masked=masked)
                exported = builder.add_all(self._recordings, self._decoder)
                proof = self._store.ledger.prove_export(case, builder.files, actor, masked=masked)
                archive.writestr(PROOF, _json(proof))
            with unfinished.open("rb") as written:
                os.fsync(written.fileno())
            os.link(unfinished, target)  # unlike a rename, it replaces nothing
        finally:
            unfinished.unlink(missing_ok=True)
        return exported


class _Builder:
    """Adds the files of one case, and keeps their hashes."""

    def __init__(self, archive: zipfile.ZipFile, case: CaseFile, *, masked: bool) -> None:
        self._archive = archive
        self._case = case
        self._is_masked = masked
        latest = case.revisions[-1].answer if case.revisions else None
        self._result = CallResult.from_json(latest) if latest is not None else None
        self._masked: MaskedCall | None = None
        if masked and self._result is not None:
            self._masked = mask_call(self._result.recognition.value)
        self.files: dict[str, str] = {}

    def add_all(self, recordings: RecordingFolder, decoder: Decoder) -> Exported:
        """Add everything but the proof."""
        exported = self._add_recording(recordings, decoder)
        transcript, findings = self._transcript(), self._findings()
        self._add("case.json", _json(self._facts(exported)))
        self._add("findings.json", _json(findings))
        if transcript is not None:
            self._add("transcript.json", _json(self._transcript_data(transcript)))
            self._add("subtitles.srt", subtitles.srt(transcript))
            self._add("subtitles.vtt", subtitles.vtt(transcript))
            coverage = transcript.coverage
            self._add("coverage.json", _json(asdict(coverage) if coverage else None))
        shown = {
            "건": self._case.record.id,
            "파일": self._name(),
            "상태": self._case.record.state,
            "접수": cases.case_summary(self._case.record).received_at.isoformat(),
        }
        title = f"통화 기록 {self._case.record.id}"
        page = build_page(title, shown, transcript, findings, exported.recording)
        self._add("transcript.html", page)
        if not self._is_masked:
            for one in self._case.revisions:
                self._add(revision_file(one.number), one.answer)
        return exported

    def _transcript(self) -> Transcript | None:
        if self._result is None:
            return None
        return self._masked.transcript if self._masked else self._result.recognition.value

    def _transcript_data(self, transcript: Transcript) -> dict[str, Any]:
        if self._result is not None and not self._is_masked:
            answer = answers.transcribe_response(self._result, self._case.record.id)
            return answer.model_dump(mode="json")
        spoken = [
            {
                "id": one.id,
                "start": one.start,
                "end": one.end,
                "channel": one.channel,
                "speaker": one.speaker,
                "text": one.text,
            }
            for one in transcript.segments
        ]
        return {
            "language": transcript.language,
            "duration": transcript.duration,
            "outcome": transcript.outcome,
            "segments": spoken,
        }

    def _findings(self) -> list[dict[str, Any]]:
        if self._result is None:
            found: list[dict[str, Any]] = json.loads(self._case.findings or "[]")
            return found
        answer = answers.transcribe_response(self._result, self._case.record.id)
        view = answer.incomplete_elements
        elements = [dict(one) for one in view["elements"]] if view else []
        return [_without_words(one) for one in elements] if self._is_masked else elements

    def _facts(self, exported: Exported) -> dict[str, Any]:
        record = self._case.record
        facts = cases.case_summary(record).model_dump(mode="json")
        if self._is_masked:
            facts["name"] = self._name()
            facts["error"] = mask_name(record.error) if record.error else None
        else:
            facts["metadata"] = json.loads(self._case.job.metadata)
        return facts | {
            "held": self._case.is_held,
            "masked": self._is_masked,
            "recording": exported.recording,
            "recording_missing": exported.missing,
            "recording_sha256": self._case.recording,
        }

    def _name(self) -> str:
        return mask_name(self._case.record.name) if self._is_masked else self._case.record.name

    def _add_recording(self, recordings: RecordingFolder, decoder: Decoder) -> Exported:
        kept = self._case.record.recording
        if kept is None:
            return Exported(None, "the recording is not kept")
        if not self._is_masked:
            name = RECORDING + _ending(self._case.record.name)
            with recordings.opened(kept) as path:
                self._add_file(name, path)
            return Exported(name, None)
        if self._masked is None or self._masked.stretches is None:
            return Exported(None, "nobody knows where personal data is said in it")
        with ExitStack() as stack:
            folder = stack.enter_context(scratch_folder())
            audio = stack.enter_context(decoder(stack.enter_context(recordings.opened(kept))))
            write_beeped(audio, self._masked.stretches, folder / BEEPED)
            self._add_file(BEEPED, folder / BEEPED)
        return Exported(BEEPED, None)

    def _add(self, name: str, content: str) -> None:
        data = content.encode()
        self._archive.writestr(name, data)
        self.files[name] = hashlib.sha256(data).hexdigest()

    def _add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source, self._archive.open(name, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
        with path.open("rb") as source:
            self.files[name] = hashlib.file_digest(source, "sha256").hexdigest()


def _without_words(element: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding with the times of its evidence, and nothing that was said."""
    kept = ("id", "article", "title", "kind", "status", "confidence", "reason", "source")
    evidence = [
        {name: one[name] for name in _KEPT_OF_EVIDENCE} for one in element.get("evidence", ())
    ]
    return {name: element[name] for name in kept} | {"evidence": evidence}


def _ending(name: str) -> str:
    """Return the ending of a recording's name, where it looks like one."""
    ending = Path(name).suffix
    return ending if ending[1:].isalnum() and len(ending) <= _LONGEST_ENDING else ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
