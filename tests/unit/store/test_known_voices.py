"""Voices of agents: stored encrypted or not at all, erased for good, and every use is logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api_server.store import audit_log
from api_server.store.errors import KeyMissing, NoSuchVoice, VoiceExists
from api_server.store.recordings import RecordingFolder
from api_server.store.records import ProofFiles
from api_server.store.sealed import SealingKeys
from api_server.store.store import Store
from tests.support.jobs_in_store import PLACES, PLENTY

KEYS = SealingKeys("one", {"one": bytes(range(32))})
NUMBERS = [0.125] * 192


def opened(folder: Path, keys: SealingKeys | None = KEYS) -> Store:
    found = Store(
        PLACES.where(folder),
        RecordingFolder(folder / "recordings", PLENTY, 0, keys=keys),
        proof=ProofFiles.beside(folder / "cases.db"),
    )
    PLACES.opened.append(found)
    return found


def logged(store: Store) -> list[dict[str, Any]]:
    with store.voices._database.read() as connection:
        found = [one.entry for one in audit_log.entries(connection)]
    return [
        {"subject": one.subject, "actor": one.actor, **json.loads(one.facts)}
        for one in found
        if one.kind == "voice"
    ]


def test_a_voice_is_enrolled_compared_and_erased(tmp_path: Path) -> None:
    store = opened(tmp_path)
    kim = store.voices.enrol("Kim", NUMBERS, 12.34, "cam", "me")
    assert store.voices.list() == [kim]
    assert store.voices.compared("call-1", "cam") == [kim]
    assert store.voices.compared("call-2", "another network") == []
    with pytest.raises(VoiceExists, match="Kim"):
        store.voices.enrol("Kim", NUMBERS, 1.0, "cam", "me")
    assert store.voices.erase("Kim", "you") == kim
    with pytest.raises(NoSuchVoice, match="Kim"):
        store.voices.erase("Kim", "you")
    assert store.voices.list() == store.voices.compared("call-3", "cam") == []
    assert logged(store) == [
        {"subject": kim.id, "actor": "me", "what": "enrolled", "seconds": 12.3, "model": "cam"},
        {
            "subject": "",
            "actor": "server",
            "what": "compared",
            "call": "call-1",
            "voices": [kim.id],
        },
        {"subject": kim.id, "actor": "you", "what": "erased"},
    ]
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()


def test_without_keys_no_voice_is_stored(tmp_path: Path) -> None:
    store = opened(tmp_path, keys=None)
    with pytest.raises(KeyMissing, match="RECORDINGS_KEY_FILE"):
        store.voices.enrol("Kim", NUMBERS, 12.0, "cam", "me")
    assert store.voices.list() == logged(store) == []


@pytest.mark.sqlite
def test_the_file_has_neither_name_nor_numbers_in_the_open(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.voices.enrol("Kim Minsu", NUMBERS, 12.0, "cam", "me")
    store.voices._database.flush()
    content = b"".join(one.read_bytes() for one in tmp_path.glob("**/*") if one.is_file())
    assert b"Minsu" not in content
    assert b"0.125" not in content
