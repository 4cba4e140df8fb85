import { describe, expect, it } from "vitest";
import { ANTHROPIC_ERRORS, OPENAI_ERRORS } from "./error-envelope.ts";
import type { ErrorCode } from "./error-table.ts";
import { Refusal } from "./refusal.ts";

const REFUSAL = new Refusal("insufficient_scope", "needs a scope", { details: { scope: "inference:invoke" } });

describe("the envelope of Anthropic's API", () => {
  it("has its type of the fault, and code, parameter and details as further members", () => {
    expect(JSON.parse(ANTHROPIC_ERRORS.toBody(REFUSAL))).toEqual({
      type: "error",
      error: {
        type: "permission_error",
        message: "needs a scope",
        param: null,
        code: "insufficient_scope",
        scope: "inference:invoke",
      },
    });
  });

  it.each<[ErrorCode, string]>([
    ["invalid_value", "invalid_request_error"],
    ["invalid_api_key", "authentication_error"],
    ["budget_exceeded", "billing_error"],
    ["model_not_allowed", "permission_error"],
    ["model_not_found", "not_found_error"],
    ["request_too_large", "request_too_large"],
    ["unsupported_encoding", "invalid_request_error"],
    ["rate_limit_exceeded", "rate_limit_error"],
    ["internal_error", "api_error"],
    ["upstream_error", "api_error"],
    ["upstream_overloaded", "overloaded_error"],
    ["upstream_timeout", "timeout_error"],
  ])("has for %s the type %s", (code, type) => {
    expect(JSON.parse(ANTHROPIC_ERRORS.toBody(new Refusal(code, "m")))).toMatchObject({ error: { type } });
  });
});

it("ends a stream as an event that is named in Anthropic's API and not in OpenAI's", () => {
  expect(ANTHROPIC_ERRORS.toEvent(REFUSAL).toString()).toBe(
    `event: error\ndata: ${ANTHROPIC_ERRORS.toBody(REFUSAL)}\n\n`,
  );
  expect(OPENAI_ERRORS.toEvent(REFUSAL).toString()).toBe(`data: ${OPENAI_ERRORS.toBody(REFUSAL)}\n\n`);
});
