import { create } from "@bufbuild/protobuf";
import { GetUsageResponseSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { latencyRows } from "./latency-rows.ts";

const latency = (requestCount: number) => ({ requestCount: BigInt(requestCount), p50Ms: 1n, p95Ms: 2n, p99Ms: 3n });

test("lists all models together first, then the models with the most requests", () => {
  const groups = Array.from({ length: 10 }, (_, index) => ({ model: `m${index}`, totalLatency: latency(index) }));
  const rows = latencyRows(
    create(GetUsageResponseSchema, { totalLatency: latency(45), firstTokenLatency: latency(5), groups }),
  );
  expect(rows.map(({ model }) => model)).toEqual([undefined, "m9", "m8", "m7", "m6", "m5", "m4", "m3"]);
  expect(rows[0]).toMatchObject({ total: { requestCount: 45n }, firstToken: { requestCount: 5n } });
  expect(rows[1]?.firstToken).toBeUndefined();
});

test("leaves out models without a counted request, e.g. with refused requests only", () => {
  const groups = [{ model: "m", deniedCount: 3n }];
  expect(latencyRows(create(GetUsageResponseSchema, { totalLatency: latency(1), groups }))).toHaveLength(1);
  expect(latencyRows(create(GetUsageResponseSchema, { groups }))).toEqual([]);
});
