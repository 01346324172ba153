"""Login at an OpenID Connect provider of other people's (npm's oidc-provider), in a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api_server.web.passwords import hash_password
from tests.browser.conftest import PAGE, open_store
from tests.support.llm_server import free_port
from tests.support.server import api_server

PROGRAM = Path(__file__).parent / "provider"
PACKAGES = Path(os.environ.get("PROVIDER", PROGRAM)).resolve() / "node_modules"
CLIENT, SECRET, PASSWORD = "stt", "a secret of the client", "correct horse battery"
LISTENS = b"listens"

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not (shutil.which("node") and PACKAGES.is_dir()),
        reason="the provider is not here: it takes node and npm, and make test-web",
    ),
]


@contextmanager
def running_provider(port: int, server: str) -> Iterator[None]:
    script = PACKAGES.parent / "provider.js"
    if script.parent != PROGRAM:
        shutil.copy(PROGRAM / "provider.js", script)
    command = ["node", str(script), str(port), CLIENT, SECRET, server]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert any(LISTENS in line for line in process.stdout)
        yield
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(locale="ko-KR")
    found = context.new_page()
    found.set_default_timeout(30_000)
    yield found
    context.close()


def log_in_there(page: Any, name: str) -> None:
    page.get_by_role("link", name="회사 계정으로 로그인").press("Enter")
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill("any")
    page.locator("[type=submit]").press("Enter")


def test_people_log_in_at_a_real_provider_and_out_of_it(page: Any, tmp_path: Path) -> None:
    port = free_port()
    settings: dict[str, Any] = {
        **PAGE,
        "review_oidc_issuer": f"http://127.0.0.1:{port}",
        "review_oidc_client_id": CLIENT,
        "review_oidc_client_secret": SECRET,
        "review_group_roles": "leads=senior,compliance=reviewer",
    }
    store = open_store(tmp_path)
    store.accounts.add("local", "reviewer", hash_password(PASSWORD))
    store.close()
    with api_server(tmp_path, ready=False, **settings) as server:
        login = f"{server.base}/review/login"
        with running_provider(port, server.base):
            page.goto(f"{server.base}/review/numbers")
            log_in_there(page, "이선임")
            page.get_by_role("button", name="Continue").press("Enter")
            page.wait_for_url("**/review/numbers")
            assert "이선임 선임" in page.locator(".who-am-i").inner_text()
            page.get_by_role("button", name="로그아웃").press("Enter")
            page.wait_for_url("**/review/login?out=1")
            page.get_by_role("link", name="회사 로그인에서도 로그아웃").press("Enter")
            page.get_by_role("button", name="Yes, sign me out").press("Enter")
            page.wait_for_url(login)
            log_in_there(page, "남")
            page.get_by_role("button", name="Continue").press("Enter")
            page.get_by_text("그룹에 들어 있지 않습니다").wait_for()
        with running_provider(port, server.base):  # it has forgotten everybody
            page.goto(login)
            log_in_there(page, "김검토")
            page.get_by_role("button", name="Continue").press("Enter")
            page.wait_for_url("**/review")
            assert "김검토 검토자" in page.locator(".who-am-i").inner_text()
            page.get_by_role("button", name="로그아웃").press("Enter")
            page.wait_for_url("**/review/login?out=1")
        page.get_by_role("link", name="회사 계정으로 로그인").press("Enter")
        page.get_by_text("회사 로그인 서버에 연결할 수 없습니다").wait_for()
        page.get_by_label("이름").fill("local")
        page.get_by_label("비밀번호").fill(PASSWORD)
        page.get_by_role("button", name="로그인", exact=True).press("Enter")
        page.wait_for_url("**/review")
        assert "local 검토자" in page.locator(".who-am-i").inner_text()
