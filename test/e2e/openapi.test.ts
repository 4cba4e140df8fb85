import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKOUT } from "@routeplane/standalone";
import { eventually } from "@routeplane/testing";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { chatStatus } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of a node by its OpenAPI description alone: paths, schemas and errors. */

type Json = Record<string, unknown>;

interface Operation {
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly requestBody: { readonly content: Content };
  readonly responses: Readonly<Record<string, unknown>> & { readonly 200: { readonly content: Content } };
}
type Content = Readonly<Record<string, { readonly schema: { readonly $ref: string } }>>;

const document = parse(readFileSync(join(CHECKOUT, "docs/reference/openapi.yaml"), "utf8"));
const operations = Object.entries<{ post: Operation }>(document.paths).map(([path, { post: operation }]) => ({
  path,
  operation,
}));
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/);
for (const name of ["int32", "int64"]) ajv.addFormat(name, true);
ajv.addSchema(document, "openapi");
// A member of a response that the description lacks is a fault here, though clients are to ignore it.
const closed = structuredClone(document);
for (const schema of Object.values<Json>(closed.components.schemas))
  if (schema["type"] === "object") schema["additionalProperties"] = false;
ajv.addSchema(closed, "closed");

const faultsIn = (body: unknown, $ref: string, description = "openapi"): unknown => {
  const validate = ajv.getSchema(`${description}${$ref}`)!;
  return validate(body) ? [] : validate.errors;
};

let node: TestNode;
let tokens: Readonly<Record<string, string>>;
beforeAll(async () => {
  node = await startNode();
  tokens = { key: await node.apiKey(), operator: await node.operatorKey() };
  await fillLists();
});
afterAll(() => node.remove());

/** Calls a method, and requires that request and response are as described. */
async function call(path: string, body: Json, status = 200, token?: string): Promise<Json> {
  const { requestBody, responses, security } = document.paths[path].post as Operation;
  const [kind = ""] = Object.keys(security[0] ?? {});
  const answer = await fetch(node.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token ?? tokens[kind]}` },
    body: JSON.stringify(body),
  });
  const json = (await answer.json()) as Json;
  expect(answer.status, JSON.stringify(json)).toBe(status);
  if (status === 200) expect(faultsIn(body, schemaOf(requestBody.content))).toEqual([]);
  else expect(Object.keys(responses)).toContain(`${status}`);
  const schema = status === 200 ? schemaOf(responses[200].content) : "#/components/schemas/Error";
  expect(faultsIn(json, schema, "closed")).toEqual([]);
  return json;
}

const schemaOf = (content: Content): string => content["application/json"]!.schema.$ref;

const unary = operations.filter(({ operation }) => "application/json" in operation.requestBody.content);
const needsNothing = unary.filter(({ operation }) => {
  return (faultsIn({}, schemaOf(operation.requestBody.content)) as readonly unknown[]).length === 0;
});

const AUTH = "/routeplane.auth.v1";
const POLICY = "/routeplane.policy.v1";
const USAGE = "/routeplane.usage.v1";

/** Lists that stay empty here: nobody is signed in at the console, there are no dead letters, and so no decisions on any. */
const EMPTY: ReadonlySet<string> = new Set([
  `${AUTH}.SessionService/ListSessions`,
  `${USAGE}.UsageAdminService/ListDeadLetters`,
  `${USAGE}.AuditService/ListAuditEntries`,
]);

/** Creates entries for every other list: an empty list fits any description. */
async function fillLists(): Promise<void> {
  await call(`${AUTH}.ServiceCredentialService/MintServiceCredential`, {
    name: "billing",
    scopes: ["keys:verify"],
    allNamespaces: true,
  });
  const { namespaceId } = (await call(`${AUTH}.IdentityService/WhoAmI`, {}))["key"] as { namespaceId: string };
  const kinds = {
    budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: 5_000_000 },
    guardrail: { maxRequestTokens: 100_000 },
    rateLimit: { windowSecs: 60, maxRequests: 600 },
    preset: { rateLimit: { windowSecs: 60, maxTokens: 1_000_000 } },
  };
  for (const [kind, spec] of Object.entries(kinds)) {
    const { policy } = await call(`${POLICY}.PolicyService/CreatePolicy`, { name: kind, spec: { [kind]: spec } });
    const principal = { principalType: "PRINCIPAL_TYPE_NAMESPACE", principalId: namespaceId };
    await call(`${POLICY}.PolicyService/BindPolicy`, { policyId: (policy as { id: string }).id, ...principal });
  }
  expect(await chatStatus(node, await node.apiKey(), "hello")).toBe(200);
  await eventually(async () => "requests" in (await call(`${USAGE}.UsageService/ListRequests`, {})));
}

describe("the description of the API", () => {
  it.each(needsNothing.filter(({ path }) => /\/(?:List(?!Bindings)|WhoAmI|GetUsage|GetOwn)/.test(path)))(
    "is true of $path without members",
    async ({ path }) => {
      const answer = await call(path, {});
      expect(Object.keys(answer).length > 0).toBe(!EMPTY.has(path));
    },
  );

  it("leads through the life of a key with limits", async () => {
    const limits = {
      budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: 5_000_000 },
      rateLimit: { windowSecs: 60, maxRequests: "60" },
    };
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const body = { name: "by-description", scopes: ["inference:invoke"], expiresAt, limits };
    const minted = await call(`${AUTH}.KeyService/MintKey`, body);
    const { id } = minted["key"] as { id: string };
    expect(await call(`${AUTH}.KeyService/GetKey`, { id })).toEqual({ key: minted["key"] });
    const principal = { principalType: "PRINCIPAL_TYPE_API_KEY", principalId: id };
    await call(`${POLICY}.EffectivePolicyService/GetEffectivePolicy`, principal);
    await call(`${AUTH}.KeyService/UpdateKey`, { id, name: "renamed", updateMask: "name" });
    await call(`${AUTH}.KeyService/RotateKey`, { id, grace: "60s" });
    await call(`${AUTH}.KeyService/RevokeKey`, { id, reason: "tried" });
  });

  it("leads through the life of a policy", async () => {
    const spec = {
      guardrail: { modelAllow: { models: ["gpt-*"] }, contentPatterns: [{ name: "card", pattern: "\\d{16}" }] },
    };
    const { policy } = await call(`${POLICY}.PolicyService/CreatePolicy`, { name: "described", spec });
    const { id } = policy as { id: string };
    const { keys } = await call(`${AUTH}.KeyService/ListKeys`, { pageSize: 1 });
    const [key] = keys as readonly { readonly id: string }[];
    const principal = { principalType: "PRINCIPAL_TYPE_API_KEY", principalId: key!.id };
    await call(`${POLICY}.PolicyService/BindPolicy`, { policyId: id, ...principal });
    await call(`${POLICY}.PolicyService/ListBindings`, { policyId: id });
    await call(`${POLICY}.PolicyService/ListPolicies`, {});
    await call(`${POLICY}.PolicyService/DeletePolicy`, { id, unbind: true });
  });

  it("is true of errors: no credential, a missing scope, an unknown id, a taken name", async () => {
    await call(`${AUTH}.KeyService/ListKeys`, {}, 401, "rp_nonsense");
    const { token } = await call(`${AUTH}.KeyService/MintKey`, { name: "narrow", scopes: ["usage:read"] });
    await call(`${AUTH}.KeyService/ListKeys`, {}, 403, token as string);
    await call(`${AUTH}.KeyService/GetKey`, { id: "key_unknown" }, 404);
    const account = { name: "taken" };
    await call(`${AUTH}.AccountService/CreateAccount`, account);
    await call(`${AUTH}.AccountService/CreateAccount`, account, 409);
  });

  it.each<readonly [string, string, Json]>([
    ["a required member that is missing", "KeyService/MintKey", { name: "x" }],
    ["an unknown member", "KeyService/MintKey", { name: "x", scopes: ["usage:read"], color: "red" }],
    ["a text that is too long", "KeyService/MintKey", { name: "x".repeat(101), scopes: ["usage:read"] }],
    ["an empty list", "KeyService/MintKey", { name: "x", scopes: [] }],
    ["a number out of range", "KeyService/ListKeys", { pageSize: 1001 }],
    ["a text for a number", "KeyService/ListKeys", { pageSize: "many" }],
    ["a time without an offset", "KeyService/MintKey", { name: "x", scopes: ["usage:read"], expiresAt: "2027-01-01" }],
    ["a duration without its unit", "KeyService/RotateKey", { id: "key_x", grace: "60" }],
    [
      "a limit of zero",
      "KeyService/MintKey",
      { name: "x", scopes: ["usage:read"], limits: { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: 0 } } },
    ],
  ])("admits no %s, and neither does the node", async (_, method, body) => {
    const path = `${AUTH}.${method}`;
    expect(faultsIn(body, schemaOf(document.paths[path].post.requestBody.content))).not.toEqual([]);
    await call(path, body, 400);
  });

  it.each<readonly [string, Json]>([
    ["no arm", {}],
    [
      "two arms",
      { guardrail: { modelAllow: { models: ["a"] } }, budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: 1 } },
    ],
  ])("admits no spec with %s, and neither does the node", async (_, spec) => {
    const path = `${POLICY}.PolicyService/CreatePolicy`;
    const body = { name: "choice", spec };
    expect(faultsIn(body, schemaOf(document.paths[path].post.requestBody.content))).not.toEqual([]);
    await call(path, body, 400);
  });
});
