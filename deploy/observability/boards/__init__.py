"""The six boards. Every panel must have an answer on a running system; where nothing happened, the answer is 0."""

from deploy.observability.boards.backlog import BACKLOG
from deploy.observability.boards.missed import MISSED
from deploy.observability.boards.one_district import ONE_DISTRICT
from deploy.observability.boards.pipeline import PIPELINE
from deploy.observability.boards.resources import RESOURCES
from deploy.observability.boards.security import SECURITY

BOARDS = (MISSED, PIPELINE, BACKLOG, RESOURCES, ONE_DISTRICT, SECURITY)
