// This program signs a user in with openapi-fetch, and with the types that openapi-typescript makes from the OpenAPI document.
import { createRemoteJWKSet, jwtVerify } from "jose";
import createClient from "openapi-fetch";
import type { components, paths } from "./countersign.js";
import { sentCode } from "./outbox.js";

type Claims = components["schemas"]["TokenClaims"];

const baseUrl = process.env["COUNTERSIGN_URL"] ?? "";
const key = process.env["COUNTERSIGN_KEY"] ?? "";
const org = "typescript";
const user = "ana";
const email = "ana@typescript.example";
const nonce = "n-typescript";

const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

function fail(what: string, got: unknown): never {
  throw new Error(`${what}: ${JSON.stringify(got)}`);
}

// With this profile everyone is asked for a code by email.
const policy = await client.GET("/v1/orgs/{org}/policy", { params: { path: { org } } });
const put = await client.PUT("/v1/orgs/{org}/policy", {
  params: { path: { org }, header: { "If-Match": policy.response.headers.get("ETag") ?? fail("no ETag", policy.error) } },
  body: { profile: "kls", acknowledge: true },
});
if (put.data?.require !== "everyone") fail("put the policy", put.error);

const started = await client.POST("/v1/challenges", { body: { org, user: { id: user, email }, nonce } });
if (started.data?.decision !== "challenge" || !started.data.challenge.sent) fail("start", started);
const verify = {
  params: { path: { id: started.data.challenge.id } },
  body: { code: await sentCode(baseUrl, email), trust: { name: "TypeScript" } },
};
const verified = await client.POST("/v1/challenges/{id}/verify", verify);
if (!verified.data?.trust_token) fail("verify", verified.error);

const keys = createRemoteJWKSet(new URL(`${baseUrl}/.well-known/jwks.json`));
const { payload } = await jwtVerify<Claims>(verified.data.token, keys, {
  algorithms: ["ES256"],
  typ: "countersign+jwt",
  audience: "local",
  requiredClaims: ["exp"],
});
if (!payload.verified || payload.sub !== user || payload.org !== org || payload.nonce !== nonce) fail("the token says", payload);

const again = await client.POST("/v1/challenges/{id}/verify", verify);
if (!again.error || !("code" in again.error) || again.error.code !== "challenge_invalid") fail("the same code again", again);

console.log(`TypeScript: ${payload.sub} of ${payload.org} is signed in, by ${payload.amr.join(" ")}`);
