"""Signs a user in with the client that openapi-python-client makes from the OpenAPI document."""

import os

import httpx
import jwt

from countersign import AuthenticatedClient
from countersign.api.policy import get_policy, put_policy
from countersign.api.signing_in import start_challenge, verify_challenge
from countersign.models import (
    Asked,
    Code,
    Person,
    Policy,
    PolicyChange,
    PolicyChangeProfile,
    PolicyRequire,
    Problem,
    Sent,
    SignIn,
    TokenClaims,
    TrustChoice,
    VerifyAnswer,
    VerifyRequest,
)

ORG, USER, EMAIL, NONCE = "python", "ana", "ana@python.example", "n-python"


def received(base: str) -> str:
    """Returns the last code that the local server has sent. Only the local server has this call."""
    answer = httpx.get(f"{base}/local/outbox", params={"to": EMAIL}).raise_for_status()
    codes: list[str] = [message["code"] for message in answer.json()["messages"] if message["code"]]
    return codes[-1]


def check(base: str, token: str) -> TokenClaims:
    """Verifies a token with PyJWT and the published keys, and returns its claims."""
    key = jwt.PyJWKClient(f"{base}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    said = jwt.decode(token, key, algorithms=["ES256"], audience="local", options={"require": ["exp"]})
    claims = TokenClaims.from_dict(said)
    assert claims.verified and claims.sub == USER and claims.org == ORG and claims.nonce == NONCE, said
    return claims


def sign_in(base: str, key: str) -> None:
    with AuthenticatedClient(base_url=base, token=key) as client:
        # With this profile everyone is asked for a code by email.
        policy = get_policy.sync_detailed(ORG, client=client)
        change = PolicyChange(profile=PolicyChangeProfile.KLS, acknowledge=True)
        put = put_policy.sync(ORG, client=client, body=change, if_match=policy.headers["ETag"])
        assert isinstance(put, Policy) and put.require is PolicyRequire.EVERYONE, put

        start = SignIn(org=ORG, user=Person(id=USER, email=EMAIL), nonce=NONCE)
        asked = start_challenge.sync(client=client, body=start)
        assert isinstance(asked, Asked) and isinstance(asked.challenge.sent, Sent), asked

        answer = VerifyRequest(code=received(base), trust=TrustChoice(name="Python"))
        verified = verify_challenge.sync(asked.challenge.id, client=client, body=answer)
        assert isinstance(verified, VerifyAnswer) and verified.trust_token, verified
        claims = check(base, verified.token)

        again = verify_challenge.sync(asked.challenge.id, client=client, body=answer)
        assert isinstance(again, Problem) and again.code is Code.CHALLENGE_INVALID, again
        print(f"Python: {claims.sub} of {claims.org} is signed in, by {' '.join(claims.amr)}")


if __name__ == "__main__":
    sign_in(os.environ["COUNTERSIGN_URL"], os.environ["COUNTERSIGN_KEY"])
