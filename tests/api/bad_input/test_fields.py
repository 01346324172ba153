"""Form fields with bad values."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from tests.support.bad_input import assert_problem
from tests.support.fault_server import FaultServer, answer
from tests.support.in_process import Running, running
from tests.support.scripted_llm import honest

CHECKED = {"incomplete_elements_check": "true"}


FIELDS = (
    ({"language": "xx"}, 400, "unknown language 'xx'; give a Whisper code"),
    ({"language": "../en"}, 400, "give a Whisper code"),
    ({"incomplete_elements_check": "maybe"}, 400, "incomplete_elements_check: .*boolean"),
    ({"strict": "2"}, 400, "strict: .*boolean"),
    ({"agent_request_format": "xml"}, 400, "agent_request_format: .*'prompt_based' or 'text_only'"),
    ({**CHECKED, "timeout": "0"}, 400, "timeout: .*greater than or equal to 1"),
    ({**CHECKED, "timeout": "-1"}, 400, "timeout: .*greater than or equal to 1"),
    ({**CHECKED, "timeout": "301"}, 400, "timeout: at most 300 seconds"),
    ({**CHECKED, "timeout": "nan"}, 400, "timeout: .*finite"),
    ({**CHECKED, "timeout": "inf"}, 400, "timeout: .*finite"),
    ({**CHECKED, "timeout": "soon"}, 400, "timeout: .*valid number"),
    ({**CHECKED, "agent_url": "http://example.com/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://localhost:9999/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://127.0.0.1@example.com/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://user@127.0.0.1/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://127.0.0.1.example.com/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://127.0.0.1:99999/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://example.com#@127.0.0.1/"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://example.com\\@127.0.0.1/"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "ftp://127.0.0.1/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "file:///etc/passwd"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "127.0.0.1:8000"}, 403, "operator can add it"),
)


@pytest.mark.parametrize(
    ("form", "status", "words"), FIELDS, ids=[json.dumps(form)[-50:] for form, *_ in FIELDS]
)
async def test_field(
    form: dict[str, str],
    status: int,
    words: str,
    client: httpx2.AsyncClient,
    canary: bytes,
) -> None:
    response = await client.post("/transcribe", data=form, files={"file": ("a.wav", canary)})
    assert_problem(response, status, words)


async def test_allow_list_with_a_port(tmp_path: Path) -> None:
    """``host:port`` allows that port only, and the server's own agent is always allowed."""
    settings = {
        "stt_model_path": tmp_path,
        "vllm_api_url": "http://vllm:8000/v1",
        "agent_allowed_hosts": ["127.0.0.1:1"],
    }
    async with running(ready=False, **settings) as app:
        for url, allowed in {
            "http://127.0.0.1:1/v1": True,
            "http://127.0.0.1:2/v1": False,
            "http://127.0.0.1/v1": False,
            "https://127.0.0.1:1/v1": True,
            "http://vllm:8000/other": False,
            "http://VLLM:8000/v1": True,
            "http://vllm:8001/v1": False,
        }.items():
            assert app.service.settings.allows_agent(url) is allowed, url
        refused = await app.client.post(
            "/analyze", json={"text": "x", "agent_url": "http://127.0.0.1:2/v1"}
        )
        assert_problem(refused, 403, "operator can add it")


async def test_redirect_of_an_allowed_agent_is_not_followed(modelless: Running) -> None:
    """A 302 is the agent's failure, and where it points to is never asked."""
    async with FaultServer(honest) as target:
        redirect = answer(302, b"", Location=target.url)
        async with FaultServer(redirect, models=redirect) as agent:
            told = await modelless.client.post(
                "/analyze", json={"text": "x", "agent_url": agent.url}
            )
            assert len(agent.requests) == 1
        assert target.requests == []
    assert told.json()["error_type"] == "RedirectRefused"
