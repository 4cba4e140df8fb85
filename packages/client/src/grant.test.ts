import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { AdmissionSchema, AdmissionService, type SettleRequest } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { expect, it } from "vitest";
import { Grant } from "./grant.ts";
import { picoUsdOf } from "./price.ts";

/** A grant of at most 10 input and 100 output tokens at 1 USD each, and the settlements that it sends. */
function grantUnderTest() {
  const settled: SettleRequest[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(AdmissionService, {
      settle(request: SettleRequest) {
        settled.push(request);
        return {};
      },
    });
  });
  const price = picoUsdOf({ inputMicroUsdPerMtok: 1_000_000_000_000, outputMicroUsdPerMtok: 1_000_000_000_000 });
  const reservation = { namespaceId: newId("ns"), keyId: newId("key"), requestId: newId("req") };
  const client = createClient(AdmissionService, transport);
  const admission = create(AdmissionSchema, { outputTokensMax: 100n });
  return { grant: new Grant({ client, reservation, price, inputTokensMax: 10 }, admission), settled };
}

it.each([
  ["both counts", { inputTokens: 2, outputTokens: 3 }, 5n],
  ["one count; the other is zero", { outputTokens: 3 }, 3n],
  ["no count, as it is not known what the request has used", {}, 110n],
])("settles %s", async (_, usage, tokens) => {
  const { grant, settled } = grantUnderTest();
  await grant.settle(usage);
  expect(settled).toMatchObject([{ tokens, costNanoUsd: tokens * 1_000_000_000n }]);
});

it("settles a cost without counts", async () => {
  const { grant, settled } = grantUnderTest();
  await grant.settle({ costNanoUsd: 7n });
  expect(settled).toMatchObject([{ tokens: 0n, costNanoUsd: 7n }]);
});

it.each([NaN, 1.5, -1, Infinity])("charges the whole reservation for a count of %s, and reports it", async (count) => {
  const { grant, settled } = grantUnderTest();
  await expect(grant.settle({ inputTokens: 1, outputTokens: count })).rejects.toThrow(RangeError);
  expect([settled, grant.isEnded]).toMatchObject([[{ tokens: 110n }], true]);
});

it.each([-1n, 2n ** 64n])("charges the whole reservation for a cost of %s, and reports it", async (costNanoUsd) => {
  const { grant, settled } = grantUnderTest();
  await expect(grant.settle({ inputTokens: 1, costNanoUsd })).rejects.toThrow(RangeError);
  expect(settled).toMatchObject([{ tokens: 110n }]);
});
