import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { BadRequestSchema } from "@routeplane/contracts/google-rpc";
import { type CreatePolicyRequestSchema, PolicyService } from "@routeplane/contracts/policy";
import { UsageService, type WatchRequestsRequestSchema } from "@routeplane/contracts/usage";
import { newId, notFound } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { publishedServices } from "../access.ts";
import { toConnectError } from "../errors.ts";
import { type FieldBounds, fieldBoundsOf } from "./field-bounds.ts";
import { mapErrors } from "./map-errors.ts";
import { validate } from "./validate.ts";

type Spec = MessageInitShape<typeof CreatePolicyRequestSchema>["spec"];

const transport = createRouterTransport(
  ({ service }) =>
    service(PolicyService, { createPolicy: () => ({}), getPolicy: () => ({}), updatePolicy: () => ({}) }),
  {
    router: { interceptors: [mapErrors(createLogger("test", (line) => line, "silent")), validate()] },
  },
);
const policies = createClient(PolicyService, transport);

async function faultsOf(spec: Spec) {
  const error = ConnectError.from(await policies.createPolicy({ name: "a", spec }).catch((error: unknown) => error));
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return violations.map(({ field, description }) => ({ field, rule: description }));
}

const usage = createClient(
  UsageService,
  createRouterTransport(
    ({ service }) =>
      service(UsageService, {
        async *watchRequests() {
          yield {};
        },
      }),
    { router: { interceptors: [mapErrors(createLogger("test", (line) => line, "silent")), validate()] } },
  ),
);

const budget = (value: object): Spec => ({ kind: { case: "budget", value } });

describe("a message that breaks a rule of its schema", () => {
  it.each([
    ["an unknown window", budget({ limitMicroUsd: 5n, window: 9 }), "spec.budget.window"],
    ["no window", budget({ limitMicroUsd: 5n }), "spec.budget.window"],
  ])("is answered with the valid names: %s", async (_, spec, field) => {
    expect(await faultsOf(spec)).toEqual([
      { field, rule: expect.stringMatching(/^must be one of BUDGET_WINDOW_HOUR, .*BUDGET_WINDOW_CALENDAR_MONTH$/) },
    ]);
  });

  it("is answered with the fields of an unset oneof", async () => {
    const rule = "must set exactly one of budget, guardrail, rate_limit, preset";
    expect(await faultsOf({})).toEqual([{ field: "spec", rule }]);
  });
});

describe("an overlong field", () => {
  const MB = 1 << 20;
  const fieldsOf = async (call: Promise<unknown>) => {
    const error = ConnectError.from(await call.catch((error: unknown) => error));
    expect(error.code).toBe(Code.InvalidArgument);
    return error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  };

  it("is refused before its pattern reads it, with the bound alone", async () => {
    const name = `${"\u00a0".repeat(MB)}\n`;
    const [fault, ...others] = await fieldsOf(policies.createPolicy({ name, spec: budget({}) }));
    expect(fault).toMatchObject({ field: "name", description: "must be at most 100 characters" });
    expect(others).toEqual([]);
  });

  it("is measured in characters, at any depth and in lists", async () => {
    const wide = "\u{1f600}";
    const ok = { name: wide.repeat(100), spec: budget({ limitMicroUsd: 5n, window: 2 }) };
    await policies.createPolicy(ok);
    expect(await fieldsOf(policies.createPolicy({ ...ok, name: wide.repeat(101) }))).toMatchObject([{ field: "name" }]);
    const patterns = [
      { name: "p", pattern: "a" },
      { name: "q", pattern: "a".repeat(MB) },
    ];
    const spec: Spec = { kind: { case: "guardrail", value: { contentPatterns: patterns } } };
    expect(await fieldsOf(policies.createPolicy({ name: "a", spec }))).toMatchObject([
      { field: "spec.guardrail.content_patterns[1].pattern" },
    ]);
    const models = Array.from({ length: 100_000 }, () => "m");
    const denied: Spec = { kind: { case: "guardrail", value: { modelDeny: { models } } } };
    expect(await fieldsOf(policies.createPolicy({ name: "a", spec: denied }))).toMatchObject([
      { field: "spec.guardrail.model_deny.models" },
    ]);
  });

  it("is NOT_FOUND if it is a reference, like any that refers to nothing", async () => {
    for (const id of ["a".repeat(1_001), "a".repeat(MB)]) {
      const error = ConnectError.from(await policies.getPolicy({ id }).catch((error: unknown) => error));
      expect(error).toMatchObject({ code: Code.NotFound, rawMessage: toConnectError(notFound()).rawMessage });
    }
  });

  it("is refused even if its schema states no bound", async () => {
    const paths = [["a".repeat(1_001)], Array.from({ length: 1_001 }, () => "name")];
    for (const each of paths) {
      const [fault] = await fieldsOf(policies.updatePolicy({ id: "a", name: "b", updateMask: { paths: each } }));
      expect(fault?.field).toMatch(/^update_mask\.paths/);
    }
  });

  it("has a bound in every request of every published method", () => {
    const seen = new Set<string>();
    const boundsIn = (schema: DescMessage, path: string): (readonly [string, FieldBounds])[] => {
      if (seen.has(schema.typeName)) return [];
      seen.add(schema.typeName);
      return schema.fields.flatMap((field) => [
        [`${path}.${field.name}`, fieldBoundsOf(field)] as const,
        ...(field.message ? boundsIn(field.message, `${path}.${field.name}`) : []),
      ]);
    };
    const methods = Object.values(publishedServices()).flatMap((services) =>
      services.flatMap((service) => service.methods),
    );
    const bounds = methods.flatMap(({ name, input }) => boundsIn(input, name));
    expect(bounds.length).toBeGreaterThan(150);
    const loose = bounds.filter(([, { maxLength, maxItems }]) => !(maxLength <= 10_000 && maxItems <= 10_000));
    expect(loose).toEqual([]);
  });
});

describe("the message of a server stream", () => {
  const first = async (request: MessageInitShape<typeof WatchRequestsRequestSchema>) => {
    for await (const response of usage.watchRequests(request)) return response;
    return undefined;
  };

  it("is checked against the same rules", async () => {
    expect(await first({})).toBeDefined();
    for (const filter of [{ model: "a".repeat(1_001) }, { status: 99 }]) {
      const error = ConnectError.from(await first({ filter }).catch((error: unknown) => error));
      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toMatch(/^filter\./);
    }
  });
});

describe("a time or duration that JSON cannot express", () => {
  const keys = createClient(
    KeyService,
    createRouterTransport(({ service }) => service(KeyService, { mintKey: () => ({}), rotateKey: () => ({}) }), {
      router: { interceptors: [mapErrors(createLogger("test", (line) => line, "silent")), validate()] },
    }),
  );
  const id = newId("key");

  it.each([
    ["expires_at", { seconds: 253_402_300_800n, nanos: 0 }],
    ["expires_at", { seconds: -62_135_596_801n, nanos: 0 }],
    ["expires_at", { seconds: 1n << 62n, nanos: 0 }],
    ["expires_at", { seconds: 0n, nanos: -1 }],
    ["expires_at", { seconds: 0n, nanos: 1_000_000_000 }],
  ])("is refused, and its field named: %s %o", async (field, expiresAt) => {
    const call = keys.mintKey({ name: "a", scopes: ["keys:read"], expiresAt });
    await expect(call).rejects.toThrow(`[invalid_argument] ${field}: must be a time of the years 0001 to 9999`);
  });

  it.each([
    { seconds: 315_576_000_001n, nanos: 0 },
    { seconds: -(1n << 60n), nanos: 0 },
    { seconds: 1n, nanos: -1 },
    { seconds: 0n, nanos: 2_000_000_000 },
  ])("is refused: %o", async (grace) => {
    await expect(keys.rotateKey({ id, grace })).rejects.toThrow(
      "[invalid_argument] grace: must be a duration of at most",
    );
  });
});
