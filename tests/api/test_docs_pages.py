"""``/docs`` and ``/redoc`` work without the internet, and without a key where keys are set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.in_process import running

_LOADED = re.compile(r"""(?:src|href|spec-url)=["']([^"']+)["']|url: '([^']+)'""")
_SECONDS = 3600.0


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_all_that_a_page_loads_is_here(page: str, tmp_path: Path) -> None:
    settings = {"stt_model_path": tmp_path / "missing", "ready_interval_sec": _SECONDS}
    async with running(ready=False, api_keys=["a-key"], **settings) as app:
        shown = await app.client.get(page)
        assert shown.status_code == 200
        assert "://" not in shown.text
        loaded = {one or other for one, other in _LOADED.findall(shown.text)}
        assert "/openapi.json" in loaded
        assert len(loaded) >= 3
        for path in loaded:
            found = await app.client.get(path)
            assert found.status_code == 200, path
            assert len(found.content) > 1000, path


async def test_what_is_tried_out_needs_the_key_that_authorize_sends(tmp_path: Path) -> None:
    settings = {"stt_model_path": tmp_path / "missing", "ready_interval_sec": _SECONDS}
    async with running(ready=False, api_keys=["a-key"], **settings) as app:
        told = (await app.client.get("/openapi.json")).json()
        (scheme,) = told["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        assert told["paths"]["/metrics"]["get"]["security"] == [{"key": []}]
        assert (await app.client.get("/metrics")).status_code == 401
        sent = {"Authorization": "Bearer a-key"}
        assert (await app.client.get("/metrics", headers=sent)).status_code == 200


async def test_the_document_is_sent_to_no_validator(tmp_path: Path) -> None:
    settings = {"stt_model_path": tmp_path / "missing", "ready_interval_sec": _SECONDS}
    async with running(ready=False, **settings) as app:
        assert '"validatorUrl": null' in (await app.client.get("/docs")).text
