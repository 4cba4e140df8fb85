import { describe, expect, it, vi } from "vitest";
import { Cancellation } from "../ports/cancel-signal.ts";
import { translateBody } from "./translated-request.ts";

const TARGET = { id: "up-1", outputField: "max_tokens" } as const;

function translating(signal = new Cancellation()) {
  const content = "word ".repeat(2_000_000);
  const text = JSON.stringify({ model: "m", max_tokens: 5, messages: [{ role: "user", content }] });
  const request = { text, streamed: false };
  return translateBody({ request, client: "messages", upstream: "chat", outputTokensMax: 5, signal }, TARGET);
}

/** Counts the turns that others have while work is done. */
async function turnsDuring(work: () => Promise<unknown> | object): Promise<number> {
  const turn = vi.fn<() => void>();
  const turns = setInterval(turn, 0);
  await work();
  clearInterval(turns);
  return turn.mock.calls.length;
}

describe("the translation of a large body", () => {
  it("has other work done between the stretches that it is read and written in", async () => {
    expect(await turnsDuring(translating)).toBeGreaterThan(1);
    const { bodyFor } = await translating();
    expect(await turnsDuring(async () => bodyFor(5))).toBeGreaterThan(1);
  });

  it("stops once its request is cancelled, which was then not sent", async () => {
    const signal = new Cancellation();
    const { bodyFor } = await translating(signal);
    const started = [translating(signal), bodyFor(5)] as const;
    signal.abort("client_gone");
    await expect(started[0]).rejects.toBe("client_gone");
    await expect(started[1]).rejects.toMatchObject({ kind: "unreachable", isSent: false });
  });
});
