"""Scheduling's HTTP for programs, under /v1: who may, and what. No rules here."""

from fastapi import APIRouter

from services.runtime.web import disclosure_log
from services.runtime.web.context import Context
from services.scheduling.api import appointments, commands, held, policies, requests, visitors


def routes(context: Context) -> APIRouter:
    """Offer the commands, and what there is to read of requests, appointments, visitors and policies."""
    router = APIRouter(prefix="/v1")
    for part in (requests, commands, appointments, visitors, policies, held):
        router.include_router(part.routes(context))
    router.include_router(disclosure_log.routes(context))
    return router
