// sentCode returns the last code that a local server has sent to an address. Only the local server has this call.
export async function sentCode(baseUrl: string, address: string): Promise<string> {
  const answer = await fetch(`${baseUrl}/local/outbox?to=${encodeURIComponent(address)}`);
  const outbox = (await answer.json()) as { messages: { code: string | null }[] };
  const code = outbox.messages.findLast((message) => message.code)?.code;
  if (!code) throw new Error("no code was sent");
  return code;
}
