"""What the page refuses, and with which words."""

from __future__ import annotations

from dataclasses import dataclass

from api_server.web.words import Pair


@dataclass
class Refused(Exception):
    """A request that the page does not serve; ``words`` are for the person before it."""

    status: int
    words: Pair
    log_in: bool = False


NO_SESSION = Refused(
    401,
    (
        "로그인이 필요합니다. 쓰던 글이 있으면 새 탭에서 로그인한 뒤 여기서 다시 저장하십시오.",
        "Log in first. What you were writing is here: log in in a new tab, and save it again.",
    ),
    log_in=True,
)
NOT_ALLOWED = Refused(
    403, ("이 계정의 역할로는 할 수 없는 일입니다.", "Your role does not allow this.")
)
FOREIGN = Refused(
    403,
    (
        "다른 페이지에서 온 요청이라 거절했습니다.",
        "The request came from another page and was refused.",
    ),
)
NOT_FOUND = Refused(404, ("그런 페이지나 통화가 없습니다.", "There is no such page or call."))
