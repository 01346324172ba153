"""The applications: the whole server, and recognition alone."""

from __future__ import annotations

from fastapi import FastAPI

from api_server.http.base_app import build_app
from api_server.http.routes import analyze, jobs, recognition, transcribe, voices
from api_server.http.routes.transcribe import transcribe_v2
from api_server.settings import Settings, read_settings

__all__ = ["create_app", "create_stt_app", "transcribe_v2"]


def create_app(settings: Settings | None = None, *, begin: bool = False) -> FastAPI:
    """Make the application; models are loaded and connections made once it starts.

    With ``begin`` the model is loaded from now on; whoever makes the application has to start it.

    Raises:
        SettingsInvalid: a setting is wrong.
        RubricInvalid: the rubric file is wrong.
        KeysInvalid: the keys cannot be used.
        KeyMissing: the keys of recordings cannot be used.
    """
    settings = settings or read_settings()
    routers = (transcribe.router, analyze.router, jobs.router, voices.router)
    app = build_app(settings, routers, checks=True, begin=begin)
    if settings.review_page:
        from api_server.web.page import install  # noqa: PLC0415 - only who has the page needs it

        install(app)
    return app


def create_stt_app(settings: Settings | None = None, *, begin: bool = False) -> FastAPI:
    """Make the application that recognises and never asks an agent.

    With ``begin`` the model is loaded from now on; whoever makes the application has to start it.

    Raises:
        SettingsInvalid: a setting is wrong.
        RubricInvalid: the rubric file is wrong.
        KeysInvalid: the keys cannot be used.
        KeyMissing: the keys of recordings cannot be used.
    """
    return build_app(settings or read_settings(), (recognition.router,), checks=False, begin=begin)
