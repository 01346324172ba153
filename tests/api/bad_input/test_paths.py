"""file_path: files that cannot be used, and paths outside the roots."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api_server.http import paths
from api_server.http.problems import Problem
from tests.support import sounds
from tests.support.bad_input import WHOLE, assert_problem
from tests.support.server import ApiServer

SECRET = "nobody may read this"


# What a caller can do about it has to be in the words.
UPLOAD_INSTEAD = "upload the recording in"


@dataclass(frozen=True)
class Shelf:
    """The folder that the server may read, and one beside it that it may not."""

    root: Path
    outside: Path


@pytest.fixture(scope="session")
def shelf(audio_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.wav").write_text(SECRET)
    (audio_root / "folder").mkdir()
    (audio_root / "link.wav").symlink_to(outside / "secret.wav")
    (audio_root / "linked-folder").symlink_to(outside)
    (audio_root / "loop").symlink_to(audio_root / "loop")
    sounds.zero_bytes(audio_root / "empty.wav")
    sounds.text_as_wav(audio_root / "text.wav")
    sounds.truncated_wav(audio_root / "cut.wav")
    sounds.header_only_wav(audio_root / "header.wav")
    unreadable = sounds.sine(audio_root / "unreadable.wav", 0.1)
    unreadable.chmod(0)
    os.mkfifo(audio_root / "pipe.wav")
    return Shelf(audio_root, outside)


FILES = (
    ("folder", 400, "is a folder; give the path of one recording"),
    ("", 400, "is a folder"),
    ("unreadable.wav", 400, "Permission denied.*Give the path of one readable recording"),
    ("pipe.wav", 400, "not a regular file.*Give the path of one readable recording"),
    ("empty.wav", 415, f"0 bytes.*{WHOLE}"),
    ("text.wav", 415, f"no audio format recognised.*{WHOLE}"),
    ("cut.wav", 415, r"2\.0 s of about 10\.0 s.*send the whole recording"),
    ("header.wav", 415, f"not one sample.*{WHOLE}"),
    ("nothing-here.wav", 404, "no such file; check file_path"),
    ("empty.wav/inside.wav", 404, "no such file; check file_path"),
    ("../outside.wav", 403, UPLOAD_INSTEAD),
    ("folder/../../x.wav", 403, UPLOAD_INSTEAD),
    ("link.wav", 403, UPLOAD_INSTEAD),
    ("linked-folder/secret.wav", 403, UPLOAD_INSTEAD),
    ("linked-folder", 403, UPLOAD_INSTEAD),
    ("loop", 400, "not a usable path"),
    ("nul\0.wav", 400, "not a usable path"),
    ("a" * 300, 400, "not a usable path"),
    ("a/" * 5000, 400, "not a usable path"),
)


@pytest.mark.parametrize(
    ("name", "status", "words"), FILES, ids=[repr(name)[:30] for name, *_ in FILES]
)
async def test_file_path(
    name: str, status: int, words: str, shelf: Shelf, client: httpx2.AsyncClient
) -> None:
    response = await client.post("/transcribe", data={"file_path": f"{shelf.root}/{name}"})
    assert_problem(response, status, words)
    assert SECRET not in response.text


ELSEWHERE = (
    ("/etc/passwd", 403, UPLOAD_INSTEAD),
    ("text.wav", 403, UPLOAD_INSTEAD),  # relative to where the server runs
    (".", 403, UPLOAD_INSTEAD),
    ("~/secret.wav", 403, UPLOAD_INSTEAD),
    ("/proc/self/environ", 403, UPLOAD_INSTEAD),
    ("a" * 10_000, 400, "not a usable path"),
    ("/" * 4_000, 403, UPLOAD_INSTEAD),
    ("/" * 10_000, 400, "not a usable path"),
    ("http://127.0.0.1/a.wav", 400, UPLOAD_INSTEAD),
    ("file:///etc/passwd", 400, UPLOAD_INSTEAD),
)


@pytest.mark.parametrize(
    ("path", "status", "words"), ELSEWHERE, ids=[path[:30] for path, *_ in ELSEWHERE]
)
async def test_path_elsewhere(
    path: str, status: int, words: str, server: ApiServer, client: httpx2.AsyncClient
) -> None:
    response = await client.post("/transcribe", data={"file_path": path})
    assert_problem(response, status, words)
    assert str(server.folder) not in response.text


# Paths, whatever they are made of.
PARTS = st.sampled_from(
    ["..", ".", "", "inside.wav", "folder", "out", "outer", "in", "secret.wav", "~", "\0", "가"]
)


PATHS = st.one_of(
    st.text(max_size=60),
    st.builds("/".join, st.lists(PARTS, max_size=12)),
    st.builds(lambda parts: "ROOT/" + "/".join(parts), st.lists(PARTS, max_size=12)),
    st.builds(lambda parts: "OUTSIDE/" + "/".join(parts), st.lists(PARTS | st.text(), max_size=6)),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("tree")
    root, outside = base / "root", base / "root-beside"
    for folder in (root / "folder", outside):
        folder.mkdir(parents=True)
    for path in (root / "inside.wav", root / "folder" / "inside.wav", outside / "secret.wav"):
        path.write_text("x")
    (root / "out").symlink_to(outside)
    (root / "outer").symlink_to("../root-beside/secret.wav")
    (root / "folder" / "out").symlink_to("../out")
    (root / "in").symlink_to(root / "folder")
    return root, outside


@given(path=PATHS)
@example(path="ROOT/inside.wav")
@example(path="ROOT/in/inside.wav")
@example(path="ROOT/in/../inside.wav")
@example(path="ROOT/out/secret.wav")
@example(path="ROOT-beside/secret.wav")
@example(path="ROOT/../root-beside/secret.wav")
@example(path="\ud800")
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_path_leaves_the_roots(path: str, tree: tuple[Path, Path]) -> None:
    root, outside = tree
    path = path.replace("ROOT", str(root)).replace("OUTSIDE", str(outside))
    try:
        found = paths.resolve(path, [root])
    except Problem as problem:
        assert problem.status in {400, 403, 404}  # noqa: PT017 - either is right
        assert len(problem.detail) > 20  # noqa: PT017
        return
    assert found == Path(os.path.realpath(found))
    assert found.is_relative_to(os.path.realpath(root))
    assert found.is_file()


def test_a_good_path_is_found(tree: tuple[Path, Path]) -> None:
    root, _ = tree
    assert paths.resolve(f"{root}/in/inside.wav", [root]) == (root / "folder/inside.wav").resolve()
