import { createClient } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { afterEach, expect, it, vi } from "vitest";
import { setPageNamespace, transport } from "./transport.ts";

afterEach(() => vi.unstubAllGlobals());

it("says with each call that the page makes it, and which namespace it shows", async () => {
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
