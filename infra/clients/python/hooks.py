"""Lets schemathesis reach further: three of four good requests get real ids, codes and times in place of made-up ones."""

import base64
import datetime
import hmac
import os
import random
import struct
import time
import uuid
from typing import Any

import httpx
import schemathesis
from schemathesis import Case, GenerationMode, HookContext, Response

BASE, KEY = os.environ["COUNTERSIGN_URL"], os.environ["COUNTERSIGN_KEY"]
ORG = "acme"

dice = random.Random(1)
seen: dict[str, str] = {}  # the last challenge, enrolment, secret, factor, browser and recovery code in answers
started = 0


def email() -> str:
    return f"u-{started // 5}@{ORG}.example"  # another user after five starts, because a user gets at most ten codes an hour


def last_code() -> str:
    messages = httpx.get(f"{BASE}/local/outbox", params={"to": email()}, timeout=10).json()["messages"]
    return next((m["code"] for m in reversed(messages) if m["code"]), "123456")


def app_code(secret: str) -> str:
    """Returns the code that an authenticator app shows now (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), "sha1")
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def person() -> dict[str, str]:
    return {"id": f"u-{started // 5}", "email": email()}


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    global started
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE or dice.random() < 0.25:
        return
    path, params, headers = case.operation.path, case.path_parameters, case.headers
    body: Any = case.body
    if "If-Match" in headers:
        headers["If-Match"] = '"0"'  # the version of the policy of an org that was never seen
        return
    known = {"org": ORG, "user": person()["id"], "factor": seen.get("factor")}
    kind = "challenge" if "/challenges/" in path else "enrolment" if "/enrolments/" in path else "browser"
    for name, value in {**known, "id": seen.get(kind)}.items():
        if name in params and value:
            params[name] = value
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = str(uuid.UUID(int=dice.getrandbits(128)))
    if "Countersign-Reauthenticated-At" in headers:
        headers["Countersign-Reauthenticated-At"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not isinstance(body, dict):
        return
    if path == "/v1/challenges":
        started += 1
    if isinstance(body.get("user"), dict):
        body["org"] = ORG
        body["user"].update(person())
        body.update({name: None for name in ("return_url", "phone") if name in body})
    if path.endswith(("/verify", "/prove", "/finish")):
        body["code"] = app_code(seen["secret"]) if path.endswith("/finish") and "secret" in seen else last_code()
        body.pop("factor", None)
    if path.endswith("/recover") and "recovery" in seen:
        body["code"] = seen["recovery"]
    if path == "/v1/enrolments":
        body.update(org=ORG, user=person(), kind="totp", on_behalf={"actor": "an-administrator", "reason": "none"})


@schemathesis.hook
def after_call(_: HookContext, case: Case[Any], response: Response) -> None:
    if response.status_code >= 300 or "json" not in response.headers.get("content-type", [""])[0]:
        return
    said = response.json()
    if case.operation.path == "/v1/challenges" and response.status_code == 201:
        seen["challenge"] = said.get("id") or said["challenge"]["id"]
    for name, value in (
        ("secret", (said.get("totp") or {}).get("secret") if case.operation.path == "/v1/enrolments" else None),
        ("recovery", (said.get("recovery_codes") or [None])[-1]),
        ("enrolment", said.get("id") if case.operation.path == "/v1/enrolments" else None),
        ("factor", (said.get("factor") or {}).get("id")),
        ("browser", (said.get("trusted_browser") or {}).get("id")),
    ):
        if value:
            seen[name] = value


# All requests for ORG are made under this policy.
httpx.put(
    f"{BASE}/v1/orgs/{ORG}/policy",
    headers={"Authorization": f"Bearer {KEY}", "If-Match": '"0"'},
    json={"profile": "kls", "methods": {"totp": "allowed"}, "email_backup": "allowed", "recovery": {"count": 10}, "acknowledge": True},
    timeout=10,
).raise_for_status()
