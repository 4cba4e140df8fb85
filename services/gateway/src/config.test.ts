import { describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";

const MEBIBYTE = 1024 ** 2;
const REQUIRED = {
  ROUTEPLANE_HOST: "127.0.0.1",
  ROUTEPLANE_PORT: "0",
  ROUTEPLANE_SERVICE_TOKEN: "rps_x",
  ROUTEPLANE_AUTH_URL: "http://auth",
  ROUTEPLANE_POLICY_URL: "http://policy",
  ROUTEPLANE_USAGE_URL: "http://usage",
  ROUTEPLANE_NATS_URL: "nats://127.0.0.1:4222",
  ROUTEPLANE_SPOOL_DIR: "/tmp/spool",
};

const read = (variables: Readonly<Record<string, string>>) => readConfig({ ...REQUIRED, ...variables });

describe("the bound of one body", () => {
  it.each([
    [{}, 50 * MEBIBYTE],
    [{ ROUTEPLANE_MAX_REQUEST_BYTES: "85000000" }, 85_000_000],
    [{ ROUTEPLANE_MAX_BODY_BYTES: String(60 * MEBIBYTE) }, 10 * MEBIBYTE],
    [
      { ROUTEPLANE_MAX_BODY_BYTES: String(6 * MEBIBYTE * 256), ROUTEPLANE_MAX_REQUEST_BYTES: String(256 * MEBIBYTE) },
      256 * MEBIBYTE,
    ],
  ])("is OpenAI's by default, and less where the memory for all bodies is too small: %o", (variables, bytes) => {
    expect(read(variables).maxRequestBytes).toBe(bytes);
  });

  it.each([
    { ROUTEPLANE_MAX_REQUEST_BYTES: "1000" },
    { ROUTEPLANE_MAX_REQUEST_BYTES: "90000000" },
    { ROUTEPLANE_MAX_REQUEST_BYTES: "50MB" },
    { ROUTEPLANE_MAX_REQUEST_BYTES: "50000000", ROUTEPLANE_MAX_BODY_BYTES: String(256 * MEBIBYTE) },
  ])("is refused where a body of that size could never be served: %o", (variables) => {
    expect(() => read(variables)).toThrow(
      /ROUTEPLANE_MAX_REQUEST_BYTES: must be a whole number .* at most a sixth of ROUTEPLANE_MAX_BODY_BYTES \(\d+\)/,
    );
  });

  it("is not reported as a fault if the memory setting is faulty", () => {
    expect(() => read({ ROUTEPLANE_MAX_BODY_BYTES: "much" })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("MAX_REQUEST_BYTES") as string }),
    );
  });
});

describe("a key of a provider in the environment", () => {
  it.each([
    ["OPENAI_API_KEY", "openai", "gpt-4o-mini"],
    ["ANTHROPIC_API_KEY", "anthropic", "claude-haiku-4-5"],
  ])("switches its provider on: %s", (variable, name, model) => {
    const [provider, ...others] = read({ [variable]: "sk-of-test" }).providers;
    expect(provider).toMatchObject({ name, upstream: { apiKey: "sk-of-test" } });
    expect(provider?.models.map(({ id }) => id)).toContain(model);
    expect(others).toEqual([]);
  });
});
