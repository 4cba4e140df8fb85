import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescMethod } from "@bufbuild/protobuf";
import { isInternal, publishedServices } from "@routeplane/rpc";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../contracts.ts";

const text = readFileSync(join(ROOT, "docs/reference/openapi.yaml"), "utf8");
const document = parse(text);
const schemas = document.components.schemas;

it("is valid OpenAPI 3.1, whose references all resolve", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document));
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
  expect(validator.version).toBe("3.1");
  expect(() => validator.resolveRefs()).not.toThrow();
});

it("has every method that the gateway relays, once, and no internal one", () => {
  const pathOf = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;
  const methods = Object.values(publishedServices()).flatMap((services) => services.flatMap((each) => each.methods));
  const relayed = methods.filter((method) => !isInternal(method)).map(pathOf);
  expect(Object.keys(document.paths).toSorted()).toEqual(relayed.toSorted());
  const ids = Object.values<{ post: { operationId: string } }>(document.paths).map(({ post }) => post.operationId);
  expect(new Set(ids).size).toBe(relayed.length);
});

it("says which credential and scope a method needs, and its errors", () => {
  const { post } = document.paths["/routeplane.auth.v1.KeyService/GetKey"];
  expect(post.security).toEqual([{ key: ["keys:read"] }]);
  expect(Object.keys(post.responses)).toEqual(["200", "400", "401", "403", "404", "429", "503", "default"]);
  expect(document.paths["/routeplane.auth.v1.AccountService/GetAccount"].post.security).toEqual([
    { operator: ["accounts:read"] },
  ]);
});

it("has the bounds, choices and enums of the contracts", () => {
  const mint = schemas["auth.v1.MintKeyRequest"];
  expect(mint).toMatchObject({ required: ["name", "scopes"], additionalProperties: false });
  expect(mint.properties.name).toMatchObject({ type: "string", minLength: 1, maxLength: 100 });
  expect(mint.properties.scopes).toMatchObject({ minItems: 1, maxItems: 50, items: { maxLength: 1000 } });
  expect(schemas["auth.v1.MintKeyResponse"]).not.toHaveProperty("additionalProperties");
  const budget = schemas["policy.v1.BudgetSpec"];
  expect(budget.properties.window.not).toEqual({ enum: ["BUDGET_WINDOW_UNSPECIFIED"] });
  expect(budget.properties.limitMicroUsd).toMatchObject({ exclusiveMinimum: 0, maximum: 9e15 });
  const arms = ["budget", "guardrail", "rateLimit", "preset"].map((name) => ({ required: [name] }));
  expect(schemas["policy.v1.PolicySpec"].allOf).toEqual([{ oneOf: arms }]);
  expect(schemas["usage.v1.GetUsageResponse"].properties.requestCount).toMatchObject({
    type: "string",
    format: "int64",
  });
});

it("describes every schema, and contains no undefined text", () => {
  const undescribed = Object.entries<{ description?: string }>(schemas).filter(([, schema]) => !schema.description);
  expect(undescribed).toEqual([]);
  expect(text).not.toContain("undefined");
});
