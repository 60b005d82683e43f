"""The keys that lock what people keep on their phones: one each, random, made when first asked for."""

import secrets
from datetime import datetime

import asyncpg

KEY_BYTES = 32


async def key_of(connection: asyncpg.Connection, person: str, *, as_of: datetime) -> bytes:
    """Give a person's key of 32 bytes, the same every time."""
    await connection.execute("SELECT set_config('leap.person', $1, true)", person)
    await connection.execute(
        "INSERT INTO phone_key (person, secret, made_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        person,
        secrets.token_bytes(KEY_BYTES),
        as_of,
    )
    secret: bytes = await connection.fetchval("SELECT secret FROM phone_key WHERE person = $1", person)
    return secret
