import { describe, expect, it } from "vitest";
import { formatServiceCredentials, parseServiceCredentials } from "./service-credentials.ts";

const TOKENS = {
  gateway: "rps_a",
  policy: "rps_b",
  usage: "rps_c",
  console: "rps_f",
  installer: "rps_d",
  workload: "rps_e",
};
const HEX = "0f".repeat(32);

describe("service credentials", () => {
  it("identify a caller by its token, and no caller by any other token", () => {
    const text = formatServiceCredentials(TOKENS);
    const credentials = parseServiceCredentials(text);
    for (const [caller, token] of Object.entries(TOKENS)) {
      expect(credentials?.callerOf(token)).toBe(caller);
      expect(text).not.toContain(token);
    }
    for (const token of ["", "rps_", "rps_A", "rps_aa", HEX]) expect(credentials?.callerOf(token)).toBeUndefined();
  });

  it("accept the old and the new token of a caller while both are listed", () => {
    const credentials = parseServiceCredentials(
      [TOKENS, { ...TOKENS, usage: "rps_new" }].map(formatServiceCredentials).join(", "),
    );
    expect(["rps_c", "rps_new"].map((token) => credentials?.callerOf(token))).toEqual(["usage", "usage"]);
  });

  it.each([
    "",
    ",",
    `gateway:${HEX},`,
    `gateway:${HEX.slice(1)}`,
    `stranger:${HEX}`,
    `gateway=${HEX}`,
    "gateway:rps_a",
  ])("refuse the list %j", (text) => expect(parseServiceCredentials(text)).toBeUndefined());
});
