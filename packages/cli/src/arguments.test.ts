import { describe, expect, it } from "vitest";
import {
  graceArgument,
  idArgument,
  limitArgument,
  nameArgument,
  namespaceNameArgument,
  rowsArgument,
  portArgument,
  reasonArgument,
  scopesArgument,
} from "./arguments.ts";

describe("--scope", () => {
  it("accepts one text of scopes, separated by blanks", () => {
    expect(scopesArgument("inference:invoke keys:read  policy:read usage:read")).toEqual([
      "inference:invoke",
      "keys:read",
      "policy:read",
      "usage:read",
    ]);
  });

  it("accepts commas, and adds the scopes of each use", () => {
    expect(scopesArgument("usage:read", scopesArgument("keys:read,keys:write, policy:*"))).toEqual([
      "keys:read",
      "keys:write",
      "policy:*",
      "usage:read",
    ]);
  });

  it.each(["", "  ", ",", " , "])("refuses %j, because empty does not mean all", (text) => {
    expect(() => scopesArgument(text)).toThrow("at least one scope");
  });
});

describe("--limit-micro-usd", () => {
  it.each([
    ["1", 1n],
    ["5000000", 5_000_000n],
    ["9000000000000000", 9_000_000_000_000_000n],
  ])("takes %s", (text, limit) => {
    expect(limitArgument(text)).toBe(limit);
  });

  it.each(["0", "-5", "1.5", "1e6", "0x10", "", " ", "5 000", "five", "9000000000000001", "99999999999999999999999"])(
    "refuses %j: only a whole number above zero, within bounds, is accepted",
    (text) => {
      expect(() => limitArgument(text)).toThrow("whole number of micro-USD from 1 to 9000000000000000");
    },
  );
});

describe("names", () => {
  it("accepts any text of 1 to 100 code points", () => {
    expect(nameArgument("Zoë’s agent 🤖")).toBe("Zoë’s agent 🤖");
    expect(nameArgument("🤖".repeat(100))).toHaveLength(200);
  });

  it.each([
    ["", "blank"],
    ["   ", "blank"],
    ["x".repeat(101), "at most 100"],
    ["a\u001b[31mb", "control characters"],
    ["a\nb", "control characters"],
  ])("refuses %j", (text, rule) => {
    expect(() => nameArgument(text)).toThrow(rule);
  });

  it.each(["", "Staging", "1st", "-a", "a_b", "a".repeat(64), "a b"])("refuses %j for a namespace", (text) => {
    expect(() => namespaceNameArgument(text)).toThrow("lower-case");
  });
});

describe("numbers and ids", () => {
  it.each(["0", "1000001", "-1", "2.5", "many", ""])("refuses --limit %j", (text) => {
    expect(() => rowsArgument(text)).toThrow("whole number from 1 to 1000000");
  });

  it.each(["0", "65536", "http"])("refuses --port %j", (text) => {
    expect(() => portArgument(text)).toThrow("whole number from 1 to 65535");
  });

  it("refuses only a blank id; the node refuses malformed and unknown ids", () => {
    expect(() => idArgument(" ")).toThrow("blank");
    expect(idArgument("nonsense")).toBe("nonsense");
  });
});

describe("--grace", () => {
  it.each([
    ["0", 0],
    ["0s", 0],
    ["90s", 90],
    ["5m", 300],
    ["1h", 3_600],
    ["7d", 604_800],
    ["168h", 604_800],
  ])("%s is %i seconds", (text, seconds) => {
    expect(graceArgument(text)).toBe(seconds);
  });

  it.each([
    "-1h",
    "8d",
    "604801s",
    "1.5h",
    "1h30m",
    "1",
    "h",
    "",
    " ",
    "1 h",
    "1H",
    "1w",
    "soon",
    "9999999999s",
    "1e3s",
  ])("refuses %j: a whole number with its unit, 7 days at most", (text) => {
    expect(() => graceArgument(text)).toThrow("whole number of s, m, h or d, from 0s to 7d");
  });
});

describe("--reason", () => {
  it("takes any text of 1 to 200 characters", () => {
    expect(reasonArgument("🤖".repeat(200))).toHaveLength(400);
  });

  it.each([
    [" ", "blank"],
    ["x".repeat(201), "at most 200"],
    ["a\nb", "control characters"],
  ])("refuses %j", (text, rule) => {
    expect(() => reasonArgument(text)).toThrow(rule);
  });
});
