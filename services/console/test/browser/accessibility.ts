import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Rules that depend on colours. */
const COLOR_RULES = ["color-contrast", "link-in-text-block"];

/**
 * Rules of WCAG 2.2 AA and best practices that the page breaks, each with the elements that break it.
 *
 * @param rules all, or only those about colours, for a page that was checked in another colour scheme before
 */
export async function accessibilityFaults(page: Page, rules: "all" | "colors" = "all"): Promise<readonly string[]> {
  await page.evaluate(axe);
  const options = rules === "all" ? {} : { runOnly: { type: "rule", values: COLOR_RULES } };
  const { violations } = await page.evaluate<AxeResults>(`axe.run(${JSON.stringify(options)})`);
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`));
}
