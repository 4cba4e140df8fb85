import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { expect, test } from "vitest";
import { errorInfoOf, fieldErrorsOf } from "./field-errors.ts";

const DETAILS = [
  { desc: ErrorInfoSchema, value: { reason: "FIELD_INVALID", domain: "routeplane" } },
  {
    desc: BadRequestSchema,
    value: {
      fieldViolations: [
        { field: "name", description: "must not be blank" },
        { field: "scopes", description: "must name at least one scope" },
        { field: "name", description: "must be at least 1 characters" },
      ],
    },
  },
];

test("reads the faults of each field, and the reason", () => {
  const error = new ConnectError("invalid", Code.InvalidArgument, undefined, DETAILS);
  expect(Object.fromEntries(fieldErrorsOf(error))).toEqual({
    name: "must not be blank; must be at least 1 characters",
    scopes: "must name at least one scope",
  });
  expect(errorInfoOf(error)?.reason).toBe("FIELD_INVALID");
});

test("finds nothing in errors of other origins", () => {
  expect(fieldErrorsOf(new Error("no")).size).toBe(0);
  expect(errorInfoOf(new ConnectError("down", Code.Unavailable))).toBeUndefined();
});
