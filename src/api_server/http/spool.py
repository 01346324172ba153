"""Uploads while they come: what the memory does not hold is written off the loop, with a deadline.

The framework writes it with threads that everything else needs too, and waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, suppress
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any, TypeVar, cast

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from api_server.http.problems import build_machine_problem
from api_server.pipeline.storage import Place
from stt_engine.errors import OutOfMemory
from stt_engine.native_errors import CANNOT_TELL

T = TypeVar("T")


class SpooledUpload(UploadFile):
    """An upload whose file is touched by the threads of a place alone, once it is on a disk."""

    def __init__(self, place: Place, started: UploadFile) -> None:
        super().__init__(
            started.file, size=started.size, filename=started.filename, headers=started.headers
        )
        self._place = place

    async def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            Problem: 503, the disk does not answer, or no thread is to be had.
            OSError: it cannot take them.
        """
        self.size = (self.size or 0) + len(data)
        if self._will_roll(len(data)):
            await self._on_disk(partial(self.file.write, data))
        else:
            self.file.write(data)

    async def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; raises as :meth:`write` does."""
        return await self._on_disk(partial(self.file.read, size))

    async def seek(self, offset: int) -> None:
        """Go to ``offset``; raises as :meth:`write` does."""
        if self._in_memory:
            self.file.seek(offset)
        else:
            await self._on_disk(partial(self.file.seek, offset))

    async def close(self) -> None:
        """Let go of the file; nobody waits for that."""
        self.let_go()

    def let_go(self) -> None:
        """Close the file, off the loop."""
        if self._in_memory:
            self.file.close()
        else:
            with suppress(MemoryError):  # no thread: it closes with its last reference
                self._place.start(self.file.close)

    async def _on_disk(self, work: Callable[[], T]) -> T:
        try:
            async with self._place.turns:
                return await self._place.run(work)
        except CANNOT_TELL as exc:
            raise build_machine_problem(exc) from exc
        except MemoryError as exc:
            raise build_machine_problem(OutOfMemory(str(exc))) from exc


class _Closing:
    """What the parser closes when a form is broken off."""

    def __init__(self, upload: SpooledUpload) -> None:
        self.close = upload.let_go


class _Parser(MultiPartParser):
    """The framework's parser, with uploads of ours.

    ``cut``: a part was begun, and the form's end never came. Of such a part nothing is read: a
    field that the caller has sent would be missing without a word.
    """

    place: Place
    cut = False

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self.cut = True

    def on_end(self) -> None:
        super().on_end()
        self.cut = False

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        started = self._current_part.file
        if started is not None:
            upload = SpooledUpload(self.place, started)
            self._current_part.file = upload
            self._files_to_close_on_error[-1] = cast(
                "SpooledTemporaryFile[bytes]", _Closing(upload)
            )


class SpooledRequest(Request):
    """A request whose uploads are :class:`SpooledUpload`."""

    def __init__(self, request: Request, place: Place) -> None:
        super().__init__(request.scope, request.receive)
        self._place = place

    async def _get_form(self, **limits: Any) -> FormData:  # noqa: ANN401 - the framework's
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._form is not None or media_type != "multipart/form-data":
            return await super()._get_form(**limits)
        try:
            async with aclosing(self.stream()) as stream:
                parser = _Parser(self.headers, stream, **limits)
                parser.place = self._place
                form = await parser.parse()
        except MultiPartException as exc:
            raise HTTPException(400, exc.message) from exc
        if parser.cut:
            await form.close()
            raise HTTPException(400, "The form is cut: its last boundary is missing.")
        self._form = form
        return form
