import { newId } from "@routeplane/domain";
import { expect, it } from "vitest";
import type { AppliedLimits } from "../ports/limit-directory.ts";
import { GatewaySession } from "./gateway-session.ts";

function limitsOn(bindingId: string): AppliedLimits {
  const limits = [{ bindingId, dimension: "money" as const, limit: 1_000, isShadow: false, terms: "" }];
  return { limits, isCentral: false, name: bindingId };
}

it("a session takes 10,000 limit sets, each once, and no more", () => {
  const session = new GatewaySession(newId("gws"), 0);
  const namespaceId = newId("ns");
  const first = limitsOn("bnd_0");
  for (let n = 0; n < 10_000; n++) {
    expect(session.isFull).toBe(false);
    const set = session.setOf(n === 0 ? first : limitsOn(`bnd_${n}`), namespaceId);
    expect(set?.number).toBe(n + 1);
  }
  expect(session.isFull).toBe(true);
  expect(session.setOf(limitsOn("bnd_10000"), namespaceId)).toBeUndefined();
  expect(session.setOf(first, namespaceId)?.number).toBe(1);
  // Another answer with equal limits.
  expect(session.setOf(limitsOn("bnd_1"), namespaceId)?.number).toBe(2);
});
