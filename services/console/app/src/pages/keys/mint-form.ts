import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { MintKeyRequestSchema } from "@routeplane/contracts/auth";
import { BudgetWindow, type PresetSpecSchema } from "@routeplane/contracts/policy";
import { definedFields, isTimeZone } from "@routeplane/domain";
import { isCalendarWindow } from "@routeplane/policy-spec";
import { browserTimeZone } from "../../format/use-time-zone.ts";
import { parseCount, parseUsd } from "../../format/parse-amount.ts";
import type { FieldErrors } from "../../rpc/field-errors.ts";
import { type ExpiryChoice, expiryOf, NO_EXPIRY } from "./expiry.ts";

/** Budget windows, by their name in the form. */
export const WINDOWS = {
  hour: { title: "in any hour", value: BudgetWindow.HOUR },
  day: { title: "in any 24 hours", value: BudgetWindow.DAY },
  week: { title: "in any 7 days", value: BudgetWindow.WEEK },
  month: { title: "in any 30 days", value: BudgetWindow.MONTH },
  calendar_day: { title: "in a calendar day", value: BudgetWindow.CALENDAR_DAY },
  calendar_month: { title: "in a calendar month", value: BudgetWindow.CALENDAR_MONTH },
  total: { title: "in total", value: BudgetWindow.TOTAL },
} as const;

/** Rate limit windows, by their length in seconds. */
export const RATE_WINDOWS = { 1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day" } as const;

/** Texts of the form that mints a key. */
export interface MintForm {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiry: ExpiryChoice;
  /** Budget in USD; empty: none. */
  readonly limitUsd: string;
  readonly window: keyof typeof WINDOWS;
  /** Time zone of a calendar window. */
  readonly windowTimeZone: string;
  /** Maximum number of requests; empty: none. */
  readonly maxRequests: string;
  /** Seconds. */
  readonly rateWindow: keyof typeof RATE_WINDOWS;
  /** Models that the key may call, separated by commas or line breaks; empty: all. */
  readonly models: string;
}

export const EMPTY_MINT: MintForm = {
  name: "",
  scopes: [],
  expiry: NO_EXPIRY,
  limitUsd: "",
  window: "total",
  windowTimeZone: browserTimeZone(),
  maxRequests: "",
  rateWindow: 60,
  models: "",
};

/** Paths of the fields, as the service names them in its faults. */
export const MINT_FIELDS = {
  name: "name",
  scopes: "scopes",
  expiry: "expires_at",
  budget: "limits.budget",
  rate: "limits.rate_limit",
  models: "limits.guardrail",
} as const;

/** Converts a form to a request, or to the faults of its texts. The service checks all other rules. */
export function mintRequestOf(
  form: MintForm,
  now: number,
  timeZone: string,
): { readonly request: MessageInitShape<typeof MintKeyRequestSchema> } | { readonly faults: FieldErrors } {
  const faults = new Map<string, string>();
  if (form.name.trim() === "") faults.set(MINT_FIELDS.name, "Write a name");
  if (form.scopes.length === 0) faults.set(MINT_FIELDS.scopes, "Choose at least one scope");
  const limitMicroUsd = parseUsd(form.limitUsd);
  if (form.limitUsd.trim() !== "" && limitMicroUsd === undefined)
    faults.set(MINT_FIELDS.budget, "Write an amount in USD with at most 6 decimals, e.g. 5 or 0.25");
  const budget = limitMicroUsd === undefined ? undefined : budgetOf(form, limitMicroUsd);
  if (budget?.timeZone !== undefined && !isTimeZone(budget.timeZone))
    faults.set(MINT_FIELDS.budget, "Write the name of a time zone, e.g. Europe/Berlin");
  const maxRequests = parseCount(form.maxRequests);
  if (form.maxRequests.trim() !== "" && maxRequests === undefined)
    faults.set(MINT_FIELDS.rate, "Write a whole number, e.g. 60");
  const expiry = expiryOf(form.expiry, now, timeZone);
  if ("fault" in expiry) faults.set(MINT_FIELDS.expiry, expiry.fault);
  if (faults.size > 0 || "fault" in expiry) return { faults };

  const models = form.models
    .split(/[\n,]/)
    .map((model) => model.trim())
    .filter((model) => model !== "");
  const limits: MessageInitShape<typeof PresetSpecSchema> = {
    ...(budget !== undefined && { budget }),
    ...(maxRequests !== undefined && { rateLimit: { windowSecs: form.rateWindow, maxRequests } }),
    ...(models.length > 0 && { guardrail: { modelAllow: { models } } }),
  };
  return {
    request: {
      name: form.name.trim(),
      scopes: [...form.scopes],
      ...(expiry.expiresAt !== undefined && { expiresAt: timestampFromDate(expiry.expiresAt) }),
      ...(Object.keys(limits).length > 0 && { limits }),
    },
  };
}

function budgetOf({ window, windowTimeZone }: MintForm, limitMicroUsd: bigint) {
  const budget = { window: WINDOWS[window].value, limitMicroUsd };
  return { ...budget, ...definedFields({ timeZone: isCalendarWindow(window) ? windowTimeZone.trim() : undefined }) };
}
