"""An identity provider as a process of its own, for tests: `python -m tests.provider PORT`.

What it says comes from a maintained one for tests, its sign-in page included. Here it learns to insist on PKCE, to
change its key, and to lie: `PUT /lie` with claims puts them into every id token from then on.
"""

import base64
import hashlib
import json
import os
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import oidc_provider_mock
from authlib import jose
from werkzeug.serving import make_server

CHALLENGES: dict[str, str] = {}
LIES: dict[str, Any] = {}


def insist_on_pkce() -> Any:
    """Refuse whoever asks without a challenge, or brings a code without what its challenge was made of."""
    request = flask.request
    if request.path == "/oauth2/authorize" and request.args.get("code_challenge_method") != "S256":
        return flask.jsonify(error="invalid_request"), 400
    if request.path == "/oauth2/token" and request.form.get("grant_type") == "authorization_code":
        digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        if CHALLENGES.get(request.form.get("code", "")) != base64.urlsafe_b64encode(digest).decode().rstrip("="):
            return flask.jsonify(error="invalid_grant"), 400
    return None


def remember_and_lie(response: Any) -> Any:
    """Keep the challenge that a code was asked for with; say something untrue in an id token where that is wanted."""
    request = flask.request
    if request.path == "/oauth2/authorize" and "location" in response.headers:
        query = parse_qs(urlsplit(response.headers["location"]).query)
        if "code" in query:
            CHALLENGES[query["code"][0]] = request.args["code_challenge"]
    if request.path == "/oauth2/token" and LIES and response.is_json and "id_token" in response.json:
        said = dict(response.json)
        payload = said["id_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) | LIES
        alg = claims.pop("alg", "RS256")
        key = "a secret of ours" if alg == "HS256" else _storage().jwk
        said["id_token"] = jose.JsonWebToken([alg]).encode({"alg": alg}, claims, key).decode()
        response.data = json.dumps(said)
    return response


def lie() -> Any:
    """Take the claims to put into every id token; none: speak the truth again."""
    LIES.clear()
    LIES.update(flask.request.json or {})
    if "expired_seconds" in LIES:
        LIES["exp"] = int(time.time()) - LIES.pop("expired_seconds")
    return "", 204


def new_key() -> Any:
    """Sign with another key from now on."""
    _storage().jwk = jose.RSAKey.generate_key(is_private=True)
    return "", 204


def _storage() -> Any:
    return flask.g.oidc_provider_mock_storage


def main(port: int) -> None:
    """Serve until the process is ended."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    app: flask.Flask = oidc_provider_mock.app(require_nonce=True)
    app.before_request(insist_on_pkce)
    app.after_request(remember_and_lie)
    app.put("/lie")(lie)
    app.post("/new-key")(new_key)
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
