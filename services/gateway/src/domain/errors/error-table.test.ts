import { globSync, readFileSync } from "node:fs";
import { STATUS_CODES } from "node:http";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { Reason } from "@routeplane/contracts/errors";
import { describe, expect, it } from "vitest";
import { toErrorAnswer } from "../../handlers/error-answer.ts";
import { type ErrorCode, type ErrorEntry, ERROR_TABLE } from "./error-table.ts";
import { OPENAI_ERRORS } from "./error-envelope.ts";
import { Refusal } from "./refusal.ts";

const ROOT = join(import.meta.dirname, "../../../../..");
const ENTRIES = Object.entries(ERROR_TABLE) as [ErrorCode, ErrorEntry][];
const PAGE = readFileSync(join(ROOT, "docs/errors.md"), "utf8");

/** Codes that are not the gateway's: of upstreams of tests, and the one on which Anthropic's clients stop to keep a thread. */
const OTHER_CODES = ["c", "server_error", "thread_unsupported_request"];
/** Tests of the errors of upstreams, which have all codes that providers use. */
const TESTS_OF_UPSTREAM_CODES =
  /response\/(?:upstream-.*|relay-errors|client-stream)\.test\.ts$|test\/fallback-streams\.test\.ts$|e2e\/gateway-answers\.test\.ts$/;

/** Codes that the tests of the gateway expect, by test file. */
function codesInTests(): readonly [string, string][] {
  const files = globSync(["services/gateway/{src,test}/**/*.test.ts", "test/e2e/gateway*.test.ts"], { cwd: ROOT });
  return files
    .filter((file) => !TESTS_OF_UPSTREAM_CODES.test(file))
    .flatMap((file) => {
      const codes = readFileSync(join(ROOT, file), "utf8").matchAll(/\b(?:code|errorCode|error_code)"?: ?"([a-z_]+)"/g);
      return Array.from(codes, ([, code = ""]): [string, string] => [file, code]);
    });
}

describe("the error table", () => {
  it.each(ENTRIES)("describes %s: status, type, meaning and advice", (code, entry) => {
    expect(code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
    expect(STATUS_CODES[entry.status]).toBeDefined();
    expect(entry.status).toBeGreaterThanOrEqual(400);
    expect(entry.type).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
    for (const text of [entry.meaning, entry.action]) expect(text).toMatch(/^[A-Z`].*\.$/);
  });

  it.each(ENTRIES)("makes the answer for %s", (code, { status, type, retryable }) => {
    const answer = toErrorAnswer(new Refusal(code, "m", { retryable: true }), OPENAI_ERRORS, (text) => text);
    expect(answer.status).toBe(status);
    expect(answer.body).toBe(JSON.stringify({ error: { message: "m", type, param: null, code } }));
    expect(answer.headers["x-should-retry"]).toBe(retryable === false ? "false" : undefined);
  });

  it("has every code that a test of the gateway expects", () => {
    const rpcCodes = Object.values(Code).filter((code) => typeof code === "number");
    const known = new Set([...Object.keys(ERROR_TABLE), ...rpcCodes.map(codeToString), ...OTHER_CODES]);
    const seen = codesInTests();
    expect(seen.length).toBeGreaterThan(50);
    expect(seen.filter(([, code]) => !known.has(code))).toEqual([]);
  });
});

describe("docs/errors.md", () => {
  it("has a section for each code, once", () => {
    const sections = Array.from(PAGE.matchAll(/^### (\w+)$/gm), ([, code]) => code);
    expect(sections).toEqual(Object.keys(ERROR_TABLE));
  });

  it("has a row for each reason of the management API, once", () => {
    const rows = Array.from(PAGE.matchAll(/^\| `([A-Z_]+)`/gm), ([, reason]) => reason);
    const reasons = Object.keys(Reason).filter((name) => /^[A-Z]/.test(name) && name !== "UNSPECIFIED");
    expect(rows).toEqual(reasons);
  });
});
