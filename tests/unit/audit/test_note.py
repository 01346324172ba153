"""Checkpoints are signed notes of C2SP."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api_server.audit.note import (
    Checkpoint,
    NoteInvalid,
    Signer,
    VerifierKey,
    open_note,
    split_notes,
)

ROOT = hashlib.sha256(b"root").digest()


def test_a_checkpoint_is_what_c2sp_says() -> None:
    signer = Signer.new()
    note = signer.sign(7, ROOT, "2026-11-30T00:00:00Z")
    body, _, signature = note.partition("\n\n")
    name = signer.verifier.name
    assert body.splitlines() == [
        name,
        "7",
        base64.b64encode(ROOT).decode(),
        "time 2026-11-30T00:00:00Z",
    ]
    dash, named, encoded = signature.rstrip("\n").split(" ")
    assert (dash, named) == ("\N{EM DASH}", name)
    signed = base64.b64decode(encoded)
    public = signer.verifier.public
    assert signed[:4] == hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    Ed25519PublicKey.from_public_bytes(public).verify(signed[4:], f"{body}\n".encode())
    assert open_note(note, signer.verifier) == Checkpoint(name, 7, ROOT, "2026-11-30T00:00:00Z")


def test_keys_survive_their_texts() -> None:
    signer = Signer.new()
    again = Signer.from_pem(signer.to_pem())
    assert again.verifier == signer.verifier
    assert VerifierKey.from_text(f"{signer.verifier}\n") == signer.verifier


@pytest.mark.parametrize(
    ("old", "new"), [("\n7\n", "\n8\n"), ("time 2", "time 3"), ("— stt", "— sst")]
)
def test_a_changed_note_is_not_signed(old: str, new: str) -> None:
    signer = Signer.new()
    note = signer.sign(7, ROOT, "2026-11-30T00:00:00Z")
    assert old in note
    with pytest.raises(NoteInvalid):
        open_note(note.replace(old, new), signer.verifier)


def test_another_key_is_another_signer() -> None:
    with pytest.raises(NoteInvalid, match="not signed by"):
        open_note(Signer.new().sign(1, ROOT, ""), Signer.new().verifier)


@pytest.mark.parametrize(
    "text", ["", "a+b", "name+00000000+AAAA", "name+zz+" + base64.b64encode(b"\1" * 33).decode()]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.from_text(text)


def test_private_keys_of_other_kinds_are_refused() -> None:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(NoteInvalid, match="another kind"):
        Signer.from_pem(pem)
    with pytest.raises(NoteInvalid, match="PEM"):
        Signer.from_pem(b"no key")


@pytest.mark.parametrize("body", ["one\n", "a\nminus\nAA==\n", "a\n1\nAA==\n", "a\n1\n%%\n"])
def test_what_is_signed_but_no_checkpoint_is_refused(body: str) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint.from_body(body)


def test_notes_one_behind_the_other_are_told_apart() -> None:
    signer = Signer.new()
    notes = [signer.sign(size, ROOT, "") for size in (1, 2)]
    found = list(split_notes("\n".join([*notes, ""])))
    assert [note for _, note in found] == notes
    assert [line for line, _ in found] == [1, 7]
    assert next(iter(split_notes("rubbish")))[0] == 1
