import { readFileSync } from "node:fs";
import { join } from "node:path";
import { publishedServices } from "@routeplane/rpc";
import { describe, expect, it } from "vitest";
import { ROOT } from "./contracts.ts";

const pages = Object.entries(publishedServices()).map(([domain, services]) => {
  const page = readFileSync(join(ROOT, `docs/reference/api-${domain}.md`), "utf8");
  return { domain, services, page };
});

describe.each(pages)("the page of $domain", ({ services, page }) => {
  it("has every method with its comment, its callers and all fields", () => {
    for (const { parent, name, input, output } of services.flatMap(({ methods }) => methods)) {
      const heading = `### ${parent.name}.${name}\n`;
      expect(page).toContain(heading);
      const [section = ""] = page.slice(page.indexOf(heading) + heading.length).split(/\n##/, 1);
      expect(section).toMatch(/^\n`POST [^`]+`\n\n\w[^]*\nFor .+\./);
      for (const field of [...input.fields, ...output.fields]) expect(section).toContain(`| \`${field.name}\` |`);
    }
  });

  it("describes every field and every value", () => {
    expect(page.match(/^\|.*\| +\|$/gm)).toBeNull();
  });
});

it("marks the fields that a request needs", () => {
  const row = (domain: string, method: string, field: string) => {
    const { page = "" } = pages.find((each) => each.domain === domain) ?? {};
    return page.slice(page.indexOf(`### ${method}\n`)).match(new RegExp(`^\\| \`${field}\` \\| (.*?) \\|`, "m"))?.[1];
  };
  expect(row("auth", "KeyService.MintKey", "name")).toBe("string, _required_");
  expect(row("auth", "KeyService.MintKey", "scopes")).toBe("list of string, _required_");
  expect(row("auth", "KeyService.MintKey", "expires_at")).toBe("Timestamp");
  expect(row("auth", "KeyService.UpdateKey", "name")).toBe("string");
  expect(row("policy", "BudgetSpec", "limit_micro_usd")).toBe("int64, _required_");
  expect(row("policy", "PolicySpec", "budget")).toBe("[BudgetSpec](api-policy.md#budgetspec), one of `kind`");
});

it("says who may call a method, and where", () => {
  const { page = "" } = pages.find(({ domain }) => domain === "auth") ?? {};
  expect(page).toContain("For a key with the scope `keys:write`.");
  expect(page).toContain("For an operator credential with the scope `accounts:write`.");
  expect(page).toMatch(
    /For the node's own callers \(`gateway`, .+\), or a service credential .+ Only at the port of the service itself\./,
  );
});
