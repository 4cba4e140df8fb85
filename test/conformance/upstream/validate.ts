import type { z } from "zod";
import { ProviderFault } from "./received.ts";

/** Returns a body as its schema reads it. @throws ProviderFault that names the first member that is wrong, missing or unknown */
export function validate<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ProviderFault(describe(issue));
}

/** Description of an issue; for a union, that of the closest variant. */
function describe(issue: z.core.$ZodIssue | undefined, path: readonly PropertyKey[] = []): string {
  if (issue === undefined) return "invalid body";
  const whole = [...path, ...issue.path];
  if (issue.code === "invalid_union") {
    const nearest = issue.errors.toSorted((one, other) => depth(other) - depth(one))[0]?.[0];
    if (nearest !== undefined) return describe(nearest, whole);
  }
  return `${whole.map(String).join(".")}: ${issue.message}`;
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path, code }) => path.length + (code === "unrecognized_keys" ? 1 : 0)));
}
