import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BudgetWindow } from "@routeplane/contracts/policy";
import { expect, test } from "vitest";
import { EMPTY_MINT, type MintForm, mintRequestOf } from "./mint-form.ts";

const NOW = Date.parse("2026-11-30T10:00:00Z");
const read = (form: Partial<MintForm>) =>
  mintRequestOf({ ...EMPTY_MINT, name: "ci", scopes: ["inference:invoke"], ...form }, NOW, "Europe/Berlin");

test("requests no limits and no expiry if the form gives none", () => {
  expect(read({ name: " ci " })).toEqual({
    request: { name: "ci", scopes: ["inference:invoke"] },
  });
});

test("requests the limits of the form, exact to a micro-USD", () => {
  const form = {
    limitUsd: "$0.25",
    window: "day",
    maxRequests: "1,000",
    rateWindow: 3600,
    models: "gpt-*,\n echo ,\n",
  } as const;
  expect(read(form)).toMatchObject({
    request: {
      limits: {
        budget: { window: BudgetWindow.DAY, limitMicroUsd: 250_000n },
        rateLimit: { windowSecs: 3_600, maxRequests: 1_000n },
        guardrail: { modelAllow: { models: ["gpt-*", "echo"] } },
      },
    },
  });
});

test("requests a calendar window in the time zone of the form, and reports an unknown one", () => {
  const form = { limitUsd: "5", window: "calendar_month", windowTimeZone: "Asia/Tokyo" } as const;
  const budget = { window: BudgetWindow.CALENDAR_MONTH, timeZone: "Asia/Tokyo", limitMicroUsd: 5_000_000n };
  expect(read(form)).toMatchObject({ request: { limits: { budget } } });
  const rolling = { window: BudgetWindow.MONTH, limitMicroUsd: 5_000_000n };
  expect(read({ ...form, window: "month" })).toEqual({
    request: { name: "ci", scopes: ["inference:invoke"], limits: { budget: rolling } },
  });
  const unknown = read({ ...form, windowTimeZone: "Mars/Olympus" });
  expect("faults" in unknown && [...unknown.faults.keys()]).toEqual(["limits.budget"]);
});

test("reads an expiry as a span from now, or as a time in the chosen time zone", () => {
  const expiryOf = (kind: string, time = "") => read({ expiry: { kind, time } });
  expect(expiryOf("8h")).toMatchObject({ request: { expiresAt: timestampFromMs(NOW + 8 * 3_600_000) } });
  expect(expiryOf("at", "2026-12-01T00:00")).toMatchObject({
    request: { expiresAt: timestampFromMs(Date.parse("2026-11-30T23:00:00Z")) },
  });
});

test("reports every invalid or missing text at its field", () => {
  const faultyFields = (form: Partial<MintForm>) => {
    const result = read(form);
    return "faults" in result ? [...result.faults.keys()] : [];
  };
  const all = { name: " ", scopes: [], limitUsd: "5 EUR", maxRequests: "many", expiry: { kind: "at", time: "" } };
  expect(faultyFields(all)).toEqual(["name", "scopes", "limits.budget", "limits.rate_limit", "expires_at"]);
  expect(faultyFields({ limitUsd: "5 EUR" })).toEqual(["limits.budget"]);
  expect(faultyFields({ expiry: { kind: "at", time: "0027-01-31T10:00" } })).toEqual(["expires_at"]);
});
