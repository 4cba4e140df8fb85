import { describe, expect, it } from "vitest";
import { holdsToken, redactTokens } from "./redact.ts";
import { mintServiceToken, mintToken, parseToken, tokenPrefix } from "./token.ts";

describe("a token", () => {
  it("has a fixed length and parses to its parts", () => {
    const tokens = Array.from({ length: 500 }, () => mintToken("key"));
    expect(new Set(tokens.map(({ length }) => length))).toEqual(new Set([81]));
    for (const token of tokens) {
      const parsed = parseToken(token);
      expect(parsed).toMatchObject({ kind: "key", mode: "live" });
      expect(token).toContain(`_${parsed?.lookupId}_${parsed?.secret}_`);
    }
  });

  it("shows its kind, key or operator credential, and its mode, live or test", () => {
    expect(parseToken(mintToken("operator", "test"))).toMatchObject({ kind: "operator", mode: "test" });
  });

  it("is refused with any one character changed", () => {
    const token = mintToken("key");
    for (let index = 0; index < token.length; index += 1) {
      const changed = token[index] === "a" ? "b" : "a";
      expect(parseToken(token.slice(0, index) + changed + token.slice(index + 1))).toBeUndefined();
    }
  });

  it.each(["", "rp_", "rp_live_x", "Bearer x", mintServiceToken(), "rp_".repeat(30_000), "rp_live_' or 1=1 --"])(
    "cannot be parsed from %.20j",
    (text) => {
      expect(parseToken(text)).toBeUndefined();
    },
  );

  it("has a prefix with 8 characters of its lookup id and nothing of its secret", () => {
    const parsed = parseToken(mintToken("key"))!;
    expect(tokenPrefix(parsed)).toBe(`rp_live_${parsed.lookupId.slice(0, 8)}`);
  });

  it("is redacted in any text, of each kind and between any characters", () => {
    for (const token of [mintToken("key"), mintToken("operator"), mintServiceToken()]) {
      const line = redactTokens(`{"authorization":"Bearer ${token}","url":"http://x/?k=${token}&y"}`);
      expect(line).not.toContain(token.slice(8));
      expect(line).toContain("[redacted]");
    }
  });

  it("is redacted after an escape that ends in a letter or digit, and names that end like its prefix are not", () => {
    for (const token of [mintToken("key"), mintToken("session", "test"), mintServiceToken()]) {
      for (const text of [JSON.stringify(`bad:\n${token}`), `/x?q=Bearer%20${token}`, `\\u0020${token}`]) {
        expect(redactTokens(text)).not.toContain(token.slice(8));
        expect(redactTokens(text)).toContain("[redacted]");
      }
    }
    const names = "corp_name sharp_live_edges rp_live_";
    expect(redactTokens(names)).toBe("corp_name sharp_live_edges rp_[redacted]_");
  });

  it("is found inside other text; the start of a token alone is not", () => {
    for (const token of [mintToken("key"), mintToken("operator", "test"), mintServiceToken()]) {
      expect(holdsToken(`my ${token}!`)).toBe(true);
      expect(holdsToken(token.slice(0, 40))).toBe(false);
    }
    expect(holdsToken("rp_live_staging")).toBe(false);
  });
});
