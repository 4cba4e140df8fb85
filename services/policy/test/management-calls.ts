import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type BindingMode, PolicySpecSchema, PrincipalType } from "@routeplane/contracts/policy";
import { expect } from "vitest";
import type { TestNamespace } from "./policy-under-test.ts";

export const spec = (json: JsonValue) => fromJson(PolicySpecSchema, json);
export const budget = (limit: number) =>
  spec({ budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: String(limit) } });

/** Creates a budget by the root key. @param limit micro-USD a day */
export async function create({ policies }: TestNamespace, name = "cap", limit = 5) {
  const { policy } = await policies.createPolicy({ name, spec: budget(limit) });
  return policy ?? expect.fail("no policy");
}

/** Binds a policy by the root key, to the namespace or a key. */
export async function bind(
  { policies, namespaceId }: TestNamespace,
  policyId: string,
  keyId?: string,
  mode?: BindingMode,
) {
  const on =
    keyId === undefined
      ? { principalType: PrincipalType.NAMESPACE, principalId: namespaceId }
      : { principalType: PrincipalType.API_KEY, principalId: keyId };
  const { binding } = await policies.bindPolicy({ policyId, ...on, ...(mode !== undefined && { mode }) });
  return binding ?? expect.fail("no binding");
}
