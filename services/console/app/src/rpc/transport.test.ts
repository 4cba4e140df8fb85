import { createClient } from "@connectrpc/connect";
import { SimulationService } from "@routeplane/contracts/policy";
import { KeyService } from "@routeplane/contracts/auth";
import { afterEach, expect, it, vi } from "vitest";
import { setPageNamespace, transport } from "./transport.ts";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

it("sends with each call that the page makes it, and the namespace that it shows", async () => {
  const sent: (readonly [string | null, string | null])[] = [];
  vi.stubGlobal("fetch", async (_: string, { headers }: RequestInit) => {
    const seen = new Headers(headers);
    sent.push([seen.get("x-routeplane-console"), seen.get("x-routeplane-namespace")]);
    return new Response(new Uint8Array(), { headers: { "content-type": "application/proto" } });
  });
  const keys = createClient(KeyService, transport);
  await keys.listKeys({});
  setPageNamespace("ns_1");
  await keys.listKeys({});
  setPageNamespace("");
  await keys.listKeys({});
  expect(sent).toEqual([
    ["1", null],
    ["1", "ns_1"],
    ["1", ""],
  ]);
});

it("fails a read without a response after 10 s, and any other call after 30 s, and reports it", async () => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (_: string, { signal }: RequestInit) => {
    const { promise, reject } = Promise.withResolvers<Response>();
    signal?.addEventListener("abort", () => reject(signal.reason as Error));
    return promise;
  });
  const ended: string[] = [];
  const note = (error: unknown): void => void ended.push(String(error));
  void createClient(KeyService, transport).listKeys({}).catch(note);
  void createClient(SimulationService, transport).simulatePolicy({}).catch(note);
  await vi.advanceTimersByTimeAsync(9_999);
  expect(ended).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(ended).toEqual([expect.stringContaining("no answer within 10 s")]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(ended[1]).toContain("no answer within 30 s");
});
