// This is the sign-in of README in TypeScript, with all that it needs to run beside a local server.
import { createRemoteJWKSet, jwtVerify, type JWTPayload } from "jose";
import { sentCode } from "./outbox.js";

const url = process.env["COUNTERSIGN_URL"] ?? "";
const key = process.env["COUNTERSIGN_KEY"] ?? "";
const keys = createRemoteJWKSet(new URL(`${url}/.well-known/jwks.json`));

interface Answer {
  decision?: "allow" | "challenge" | "enrol";
  token: string;
  challenge: { id: string; sent: { hint: string } };
}

// signIn decides about a user whose password was right. ask shows the user a page that takes the code.
async function signIn(user: string, email: string, ask: (hint: string) => Promise<string>): Promise<JWTPayload> {
  let answer = await post("/v1/challenges", { org: "demo", user: { id: user, email } });
  if (answer.decision === "challenge") {
    const code = await ask(answer.challenge.sent.hint);
    answer = await post(`/v1/challenges/${answer.challenge.id}/verify`, { code });
  }
  const { payload } = await jwtVerify(answer.token, keys, {
    algorithms: ["ES256"], typ: "countersign+jwt", issuer: url, audience: "local", subject: user, requiredClaims: ["exp"],
  });
  if (payload["org"] !== "demo") throw new Error("the token is of another organisation");
  return payload;
}

// post sends JSON and reads the answer. If the call is refused, it throws an error.
async function post(path: string, body: object): Promise<Answer> {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return (await answer.json()) as Answer;
}

const email = "mia@demo.example";
const said = await signIn("mia", email, async (hint) => {
  console.log(`A code was sent to ${hint}`);
  return sentCode(url, email);
});
console.log(`TypeScript: ${said.sub} of ${said["org"]} is signed in, verified: ${said["verified"]}`);
