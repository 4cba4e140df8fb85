import { afterEach, expect, it, vi } from "vitest";
import { readSession, signOut } from "./session.ts";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

it("gives up a read of the session after 15 s without an answer, and a change after 40 s", async () => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (_: string, { signal }: RequestInit) => {
    const { promise, reject } = Promise.withResolvers<Response>();
    signal?.addEventListener("abort", () => reject(signal.reason as Error));
    return promise;
  });
  const ended: string[] = [];
  const note = (error: unknown): void => void ended.push(String(error));
  void readSession().catch(note);
  void signOut().catch(note);
  await vi.advanceTimersByTimeAsync(14_999);
  expect(ended).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(ended).toEqual([expect.stringContaining("The console does not answer.")]);
  await vi.advanceTimersByTimeAsync(25_000);
  expect(ended).toHaveLength(2);
});

it("names a gateway to fill in, for snippets, if the console does not know its address", async () => {
  const answer = (gateway_url: string) => vi.stubGlobal("fetch", async () => Response.json({ gateway_url }));
  answer("https://llm.example.com");
  expect((await readSession())?.gatewayUrl).toBe("https://llm.example.com");
  answer("");
  expect((await readSession())?.gatewayUrl).toBe("https://YOUR-GATEWAY");
});
