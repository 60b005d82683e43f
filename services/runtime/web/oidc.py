"""One identity provider, asked by OpenID Connect: authorization code with PKCE, tokens checked, asked again later."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.runtime.web.providers import DeclaredProvider, Told

ANSWER_SECONDS = 5.0
METADATA_SECONDS = 3600.0
NEW_KEYS_SECONDS = 10.0
"""Not sooner are its keys fetched again because one is unknown: a forged token must not make us call it."""
LEEWAY_SECONDS = 60
# Signed with a key that only the provider has: never `none`, and never a secret that we know too.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# What a token endpoint says when it is about the person, and not about us or about today.
_ABOUT_THE_PERSON = {"invalid_grant", "access_denied", "login_required", "interaction_required", "consent_required"}


class ProviderAway(Exception):
    """The provider does not answer, or can't at the moment: ask again later."""


class ProviderRefused(Exception):
    """The provider says no, or said something that does not do. The message is a code of ours for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the provider is asked again with."""

    access: str
    refresh: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one sign-in under way was begun with: the answer must fit all of it."""

    state: str
    nonce: str
    verifier: str


class Provider:
    """The provider, with what is kept of it: its addresses for an hour, its keys until another one signs."""

    def __init__(self, declared: DeclaredProvider, client_secret: str) -> None:
        self.declared = declared
        self._secret = client_secret
        self._metadata: Mapping[str, Any] = {}
        self._metadata_at = self._keys_at = -METADATA_SECONDS
        self._keys: KeySet | None = None

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Give the address at which the provider asks who that is. Raises ProviderAway."""
        endpoint = await self._endpoint("authorization_endpoint")
        async with self._client(redirect_uri, self.declared.ask_for) as client:
            address, _ = client.create_authorization_url(
                endpoint, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier
            )
        return str(address)

    async def exchange(self, code: str, attempt: Attempt, redirect_uri: str) -> tuple[Told, Tokens]:
        """Take the code to the provider, once, and check what comes back. Raises ProviderAway and ProviderRefused."""
        answer = await self._token(
            redirect_uri, grant_type="authorization_code", code=code, code_verifier=attempt.verifier
        )
        claims = await self._checked(answer, nonce=attempt.nonce)
        tokens = Tokens(access=str(answer.get("access_token", "")), refresh=str(answer.get("refresh_token", "")))
        return await self._told(claims, tokens), tokens

    async def again(self, tokens: Tokens, subject: str) -> tuple[Told, Tokens]:
        """Ask whether the person may still come, and as what. Raises ProviderAway, and ProviderRefused for no."""
        claims: Mapping[str, Any] = {}
        if tokens.refresh:
            answer = await self._token(None, grant_type="refresh_token", refresh_token=tokens.refresh)
            # A provider that turns its refresh tokens over gives the next one here.
            tokens = Tokens(
                access=str(answer.get("access_token", "")), refresh=str(answer.get("refresh_token") or tokens.refresh)
            )
            if answer.get("id_token"):
                claims = await self._checked(answer, nonce=None)
        told = await self._told(claims, tokens)
        if told.subject != subject:
            raise ProviderRefused("another_subject")
        return told, tokens

    async def way_out(self) -> str | None:
        """Give the address at which the provider's own session is ended, or None where it has none, or is away."""
        try:
            return str((await self._known())["end_session_endpoint"])
        except (KeyError, ProviderAway):
            return None

    async def revoke(self, tokens: Tokens) -> None:
        """Tell the provider that we need its tokens no more, where it wants to know. Nothing depends on it."""
        try:
            endpoint = (await self._known()).get("revocation_endpoint")
            if endpoint and tokens.refresh:
                async with self._client(None) as client:
                    await client.revoke_token(endpoint, token=tokens.refresh, token_type_hint="refresh_token")
        except (ProviderAway, OAuthError, httpx2.HTTPError, ValueError):
            return

    async def _told(self, claims: Mapping[str, Any], tokens: Tokens) -> Told:
        """Put together what the id token and the userinfo endpoint say; both must speak of the same person."""
        said = dict(claims)
        if "userinfo_endpoint" in await self._known():
            answer = await self._userinfo(tokens.access)
            if claims and answer.get("sub") != claims["sub"]:
                raise ProviderRefused("another_subject")
            said |= answer
        elif not claims:
            raise ProviderRefused("nothing_to_ask")
        declared = self.declared
        username = said.get(declared.name_claim)
        if not isinstance(username, str) or not isinstance(said.get("sub"), str):
            raise ProviderRefused("no_name")
        name = said.get("name")
        locale = str(said.get("locale", "en"))[:2].lower()
        return Told(
            subject=said["sub"],
            username=username.lower(),
            display_name=(name if isinstance(name, str) and name.strip() else username)[:80],
            language=locale if locale.isalpha() and locale.isascii() and len(locale) == 2 else "en",
            groups=declared.known_groups(said.get(declared.groups_claim, ())),
        )

    async def _checked(self, answer: Mapping[str, Any], *, nonce: str | None) -> Mapping[str, Any]:
        """Check the id token: signature, issuer, audience, time, nonce. Raises ProviderRefused, and ProviderAway."""
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderRefused("no_id_token")
        try:
            decoded = await self._decoded(token)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self.declared.issuer},
                    "aud": {"essential": True, "value": self.declared.client_id},
                },
                {"nonce": nonce, "client_id": self.declared.client_id, "access_token": answer.get("access_token")},
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            raise ProviderRefused(f"id_token {getattr(error, 'error', type(error).__name__)}") from None
        return decoded.claims

    async def _decoded(self, token: str) -> jwt.Token:
        keys = self._keys if self._keys is not None else await self._fetch_keys()
        try:
            return jwt.decode(token, keys, list(ALGORITHMS))
        except (JoseError, ValueError):
            # Signed with a key that it did not have before, perhaps: providers change theirs.
            if time.monotonic() - self._keys_at < NEW_KEYS_SECONDS:
                raise
        return jwt.decode(token, await self._fetch_keys(), list(ALGORITHMS))

    async def _fetch_keys(self) -> KeySet:
        self._keys_at = time.monotonic()
        said = await self._get(await self._endpoint("jwks_uri"))
        try:
            self._keys = KeySet.import_key_set(said)  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError):
            raise ProviderAway from None
        return self._keys

    async def _userinfo(self, access_token: str) -> Mapping[str, Any]:
        endpoint = await self._endpoint("userinfo_endpoint")
        return await self._get(endpoint, {"Authorization": f"Bearer {access_token}"}, no_means_no=True)

    async def _token(self, redirect_uri: str | None, **asked: str) -> Mapping[str, Any]:
        endpoint = await self._endpoint("token_endpoint")
        try:
            async with self._client(redirect_uri) as client:
                if asked["grant_type"] == "refresh_token":
                    answer = await client.refresh_token(endpoint, refresh_token=asked["refresh_token"])
                else:
                    answer = await client.fetch_token(endpoint, **asked)
        except OAuthError as error:
            if error.error in _ABOUT_THE_PERSON:
                raise ProviderRefused(str(error.error)) from None
            raise ProviderAway from None
        except (httpx2.HTTPError, ValueError):
            raise ProviderAway from None
        return dict(answer)

    async def _endpoint(self, name: str) -> str:
        try:
            return str((await self._known())[name])
        except KeyError:
            raise ProviderAway from None

    async def _known(self) -> Mapping[str, Any]:
        if time.monotonic() - self._metadata_at > METADATA_SECONDS:
            said = await self._get(f"{self.declared.issuer.rstrip('/')}/.well-known/openid-configuration")
            if said.get("issuer") != self.declared.issuer:
                raise ProviderAway
            self._metadata, self._metadata_at = said, time.monotonic()
        return self._metadata

    async def _get(
        self, address: str, headers: Mapping[str, str] | None = None, *, no_means_no: bool = False
    ) -> dict[str, Any]:
        try:
            async with httpx2.AsyncClient(timeout=ANSWER_SECONDS) as client:
                answer = await client.get(address, headers=dict(headers or {}))
            if no_means_no and answer.status_code in (401, 403):
                raise ProviderRefused("userinfo")
            answer.raise_for_status()
            said = answer.json()
        except (httpx2.HTTPError, ValueError):
            raise ProviderAway from None
        if not isinstance(said, dict):
            raise ProviderAway
        return said

    def _client(self, redirect_uri: str | None, scope: str | None = None) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=self.declared.client_id,
            client_secret=self._secret or None,
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            # Asked for once: a provider that granted less refuses to be asked for it again with each refresh.
            scope=scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=ANSWER_SECONDS,
        )
