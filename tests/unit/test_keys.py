"""Keys: their file, its changes, and what each may be used for."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.access.key_ring import KeyRing, KeysLoaded, KeysRefused
from api_server.access.roles import ROLE_OF, role_of
from api_server.app import create_app, create_stt_app
from api_server.clients.agent.backend import AgentBackend
from api_server.settings import Settings
from api_server.settings.keys import KeysInvalid, parse_entry, parse_file
from stt_engine.events import Event

FILE = """
[keys.branch]
key = "key-of-a-branch"
roles = ["call"]
[keys."모니터링"]
key = "key-of-monitoring"
roles = ["read"]
"""


def ring(seen: list[Event] | None = None, **settings: object) -> KeyRing:
    made = Settings(_env_file=None, **settings)  # type: ignore[arg-type]
    return KeyRing(made, [] if seen is None else [seen.append])


def test_keys_of_settings_and_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(FILE, "utf-8")
    named = ["boss:admin:key-of-the-boss", "nightly:call+read:key:with:colons"]
    found = ring(api_keys=["old-1", "old-1", "old-2"], api_named_keys=named, api_keys_file=path)
    assert {one.name: sorted(one.roles) for one in found.keys} == {
        "API_KEYS[1]": ["call", "read"],
        "API_KEYS[2]": ["call", "read"],
        "boss": ["admin"],
        "nightly": ["call", "read"],
        "branch": ["call"],
        "모니터링": ["read"],
    }
    assert parse_entry(named[1]).secret == "key:with:colons"
    assert "key-of" not in repr(found.keys)


BAD = (
    ("", "give each key as"),
    ("keys = 5", "give each key as"),
    ("[key.a]\nkey='x'\nroles=['call']", "give each key as"),
    ("[keys.a]\nkey='geheim'\nroles=[]", "has no role"),
    ("[keys.a]\nkey='geheim'\nroles=['caller']", "did you mean 'call'"),
    ("[keys.a]\nkey='geheim'\nroles=[['call']]", "unknown role"),
    ("[keys.a]\nkey='geheim'\nrole=['call']", "unknown name 'role'; did you mean 'roles'"),
    ("[keys.a]\nkey='geheim'", "give key = "),
    ("[keys.a]\nkey=5\nroles=['call']", "give key = "),
    ("[keys.a]\nkey=''\nroles=['call']", "printable"),
    ("[keys.a]\nkey='geheim\\n", "no TOML"),
    ("[keys]\na = 'geheim'", "give \\[keys.a\\]"),
    ("[keys.a]\nkey='geheim'\nroles=['call']\n[keys.b]\nkey='geheim'\nroles=['read']", "same key"),
)


@pytest.mark.parametrize(("content", "words"), BAD)
def test_file_that_cannot_be_used(content: str, words: str, tmp_path: Path) -> None:
    """The sentence names the file and the key, and holds no secret."""
    path = tmp_path / "keys.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(KeysInvalid, match=words) as told:
        ring(api_keys_file=path)
    assert str(path) in str(told.value)
    assert "geheim" not in str(told.value)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "bytes"):
        with pytest.raises(KeysInvalid, match="API_KEYS_FILE: "):
            ring(api_keys_file=path)


@given(st.text(max_size=80))
def test_any_text_is_keys_or_refused(content: str) -> None:
    try:
        assert parse_file(content)
    except KeysInvalid as told:
        assert str(told)  # noqa: PT017 - either is right


def test_a_changed_file_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    seen: list[Event] = []
    path = tmp_path / "keys.toml"
    path.write_text(FILE, "utf-8")
    found = ring(seen, api_keys_file=path)
    found.refresh()
    assert seen == []
    path.write_text(FILE.replace("branch]", "office]"), "utf-8")
    os.utime(path, ns=(1, 1))
    found.refresh()
    assert [one.name for one in found.keys] == ["office", "모니터링"]
    path.write_text("no keys")
    found.refresh()
    path.unlink()
    found.refresh()
    found.refresh()
    assert [one.name for one in found.keys] == ["office", "모니터링"]
    assert [type(one) for one in seen] == [KeysLoaded, KeysRefused, KeysRefused]


def test_every_endpoint_stands_in_the_table_of_roles() -> None:
    """A path that does not is closed to all but ``admin``."""
    settings = Settings(_env_file=None, log_file=None)  # type: ignore[call-arg]
    for make in (create_app, create_stt_app):
        document = make(settings).openapi()
        assert set(document["paths"]) <= set(ROLE_OF)
    assert role_of("/forgotten") == "admin"


async def test_the_key_of_the_llm_server_goes_nowhere_else() -> None:
    sent: list[tuple[str, str | None]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append((str(request.url), request.headers.get("authorization")))
        if request.method == "GET":
            return httpx2.Response(200, json={"data": [{"id": "m"}]})
        choice = {"finish_reason": "stop", "message": {"content": "x"}}
        return httpx2.Response(200, json={"choices": [choice]})

    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        vllm_api_url="https://llm.bank/v1",
        agent_allowed_hosts=["llm.bank"],
    )
    agent = AgentBackend(
        api_key="secret",
        may_have_key=settings.is_llm_server,
        transport=httpx2.MockTransport(answer),
    )
    for url in ("https://llm.bank/v1", "http://llm.bank/v1", "https://llm.bank/v2/v1"):
        assert settings.allows_agent(url)
        assert (await agent.call("x", url))["success"]
    await agent.aclose()
    with_key = {url for url, key in sent if key == "Bearer secret"}
    assert with_key == {"https://llm.bank/v1/models", "https://llm.bank/v1/chat/completions"}
    assert len(sent) == 6
