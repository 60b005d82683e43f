"""Scheduling's HTTP for programs, under /v1: who may, and what. No rules here."""

from fastapi import APIRouter

from services.runtime.web.context import Context
from services.scheduling.api import appointments, policies, requests, visitors
from services.scheduling.api.refusals import ExplainingRoute


def routes(context: Context) -> APIRouter:
    """Offer requests, appointments, visitors and policies."""
    router = APIRouter(prefix="/v1", route_class=ExplainingRoute)
    for part in (requests, appointments, visitors, policies):
        part.add_routes(router, context)
    return router
