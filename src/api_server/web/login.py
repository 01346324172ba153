"""Logging in and out, the language, and the sign that somebody still reads."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api_server.web import words
from api_server.web.desk import ReviewDesk
from api_server.web.errors import NOT_FOUND, Refused
from api_server.web.identity import DEMO
from api_server.web.provider_login import ProviderLogin
from api_server.web.rendering import LANGUAGE_COOKIE, language_of, render
from api_server.web.router import DeskDependency, Seeing, redirect, review_router

router = review_router()

Field = Annotated[str, Form(max_length=500)]


@router.get("/login")
async def show_login(
    request: Request,
    desk: DeskDependency,
    target: Annotated[str, Query(alias="next", max_length=2000)] = "",
) -> Response:
    """Show the login."""
    if await desk.identity.visitor(request) is not None:
        return redirect(request, _inside(target))
    return await _show(request, desk, target)


async def _show(
    request: Request, desk: ReviewDesk, target: str, said: str = "", status: int = 200
) -> Response:
    demo = DEMO if await desk.identity.offers_demo(request) else {}
    exist = await desk.service.desk.run(lambda store: store.accounts.exist(), make=True)
    return render(
        request,
        "login.html",
        status,
        target=_inside(target),
        said=said,
        demo=demo,
        accounts=exist or desk.service.settings.others_vouch,
        provider=desk.provider is not None,
        left="out" in request.query_params,
    )


@router.post("/login")
async def log_in(
    request: Request,
    desk: DeskDependency,
    name: Field = "",
    password: Field = "",
    demo: Field = "",
    target: Field = "",
) -> Response:
    """Log in, and go to where the person wanted to go."""
    try:
        if demo:
            put = await desk.identity.log_in_as_demo(request, demo)
        else:
            put = await desk.identity.log_in(request, name, password)
    except Refused as exc:
        return await _show(request, desk, target, _said(request, exc), exc.status)
    response = redirect(request, _inside(target))
    put(response)
    return response


@router.post("/logout")
async def log_out(request: Request, desk: DeskDependency) -> Response:
    """Log out."""
    take = await desk.identity.log_out(request)
    response = redirect(request, "/review/login?out=1")
    take(response)
    return response


@router.get("/login/oidc")
async def begin_at_provider(
    request: Request,
    desk: DeskDependency,
    target: Annotated[str, Query(alias="next", max_length=2000)] = "",
) -> Response:
    """Lead to the provider. A link, and no form: what a form leads to has to be of this page."""
    provider = _provider_of(desk)
    try:
        url, put = await provider.begin(request, _inside(target))
    except Refused as exc:
        return await _show(request, desk, target, _said(request, exc), exc.status)
    response = RedirectResponse(url, 303)
    put(response)
    return response


@router.get("/login/oidc/back")
async def come_back(request: Request, desk: DeskDependency) -> Response:
    """Take back whom the provider sends."""
    provider = _provider_of(desk)
    try:
        target, put = await provider.finish(request)
    except Refused as exc:
        response = await _show(request, desk, "", _said(request, exc), exc.status)
        provider.forget(request)(response)
        return response
    response = redirect(request, _inside(target))
    put(response)
    return response


@router.get("/login/oidc/out")
async def leave_provider(request: Request, desk: DeskDependency) -> Response:
    """Lead to the provider's own logout, where it has one."""
    try:
        url = await _provider_of(desk).logout_url(request)
    except Refused as exc:
        return await _show(request, desk, "", _said(request, exc), exc.status)
    return RedirectResponse(url, 303) if url else redirect(request, "/review/login")


def _provider_of(desk: ReviewDesk) -> ProviderLogin:
    if desk.provider is None:
        raise NOT_FOUND
    return desk.provider


def _said(request: Request, refused: Refused) -> str:
    return words.pick(refused.words, language_of(request))


@router.post("/language")
async def choose_language(request: Request, language: Field = "ko", target: Field = "") -> Response:
    """Remember the language of the reader."""
    response = redirect(request, _inside(target))
    chosen = "en" if language == "en" else "ko"
    secure = request.url.scheme == "https"
    response.set_cookie(
        LANGUAGE_COOKIE, chosen, max_age=31_536_000, path="/", secure=secure, samesite="lax"
    )
    return response


@router.post("/alive")
async def show_life(visitor: Seeing) -> dict[str, str]:
    """Have the session know that its reader is there."""
    return {"name": visitor.name}


def _inside(target: str) -> str:
    """Return a place on this page; anything else is its beginning."""
    inside = target == "/review" or target.startswith(("/review/", "/review?"))
    plain = "\\" not in target and not any(ord(one) < ord("!") for one in target)
    return target if inside and plain and ".." not in target else "/review"
