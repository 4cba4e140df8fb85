import { create, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import {
  CreateAccountRequestSchema,
  GetNamespaceRequestSchema,
  VerifyKeyRequestSchema,
} from "@routeplane/contracts/auth";
import { RenewSessionRequestSchema } from "@routeplane/contracts/policy";
import { expect, it } from "vitest";
import { publishedServices } from "../access.ts";
import { requireWithinBounds, requireWithinLength } from "./field-bounds.ts";
import { plainFieldsOf, plainValueOf } from "./plain-message.ts";

it("treats as plain only a message of scalars without rules other than lengths", () => {
  expect(plainFieldsOf(VerifyKeyRequestSchema)).toMatchObject([{ name: "token", bounds: { maxLength: 4_096 } }]);
  for (const schema of [GetNamespaceRequestSchema, CreateAccountRequestSchema, RenewSessionRequestSchema])
    expect(plainFieldsOf(schema)).toBeUndefined();
});

const requests: readonly DescMessage[] = Object.values(publishedServices())
  .flat()
  .flatMap(({ methods }) => methods.map(({ input }) => input));
const plain = requests.flatMap((schema) => (plainFieldsOf(schema) ?? []).map((field) => ({ schema, field })));

/** Error of a check; undefined if it passes. */
function faultOf(check: () => void): unknown {
  try {
    check();
    return undefined;
  } catch (error) {
    return error;
  }
}

it.each(plain)("refuses $field.name of $schema.name as reflection does", ({ schema, field }) => {
  const { scalar } = schema.field[field.localName] ?? {};
  for (const excess of [0, 1]) {
    const length = field.bounds.maxLength + excess;
    const value = scalar === ScalarType.BYTES ? new Uint8Array(length) : "🔑".repeat(length);
    const message = create(schema, { [field.localName]: value });
    const fault = faultOf(() => requireWithinLength(plainValueOf(message, field), field.bounds, field.name));
    expect(fault !== undefined).toBe(excess > 0);
    expect(fault).toEqual(faultOf(() => requireWithinBounds(schema, message)));
  }
});
