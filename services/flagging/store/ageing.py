"""Records of a district that could not be applied, and are too old."""

from datetime import datetime

from services.runtime.database import Connection
from services.runtime.delivery import letting_go


async def take_dead_letters(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete records of a district that were set aside before a moment: of those that say whose they are."""
    return await letting_go.take_dead_letters(connection, f'"district":"{district}"', before, most)
