import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { INSTALL_MS, startBrowser, type TestBrowser } from "./browser.ts";
import { startConsoleNode, type StartedConsoleNode } from "./console-node.ts";
import { signIn, view } from "./page-view.ts";
import { fillNamespace } from "./sample-data.ts";

const FOLDER = join(import.meta.dirname, "../../../../docs/console");

/** Screenshots for `docs/console.md`. They are written only if ROUTEPLANE_SCREENSHOTS=write is set. */
describe.runIf(process.env["ROUTEPLANE_SCREENSHOTS"] === "write")("the pictures of the docs", () => {
  let node: StartedConsoleNode;
  let browser: TestBrowser;

  beforeAll(async () => {
    [node, browser] = await Promise.all([startConsoleNode(), startBrowser()]);
  }, INSTALL_MS);
  afterAll(async () => {
    await browser.close();
    await node.remove();
  });

  it("are written, in light and one in dark", async () => {
    const namespace = await node.createNamespace("production");
    const data = await fillNamespace(node, namespace, { keyName: "support-bot", modelName: "mistral-large" });
    const session = await signIn(node, browser, namespace.token);
    await node.createNamespace("staging");
    const operator = await node.operatorKey();
    await node.rpc("auth.v1.NamespaceService/SuspendNamespace", operator, { namespace: "staging" });
    const ofOperator = await signIn(node, browser, operator);
    const pictures = [
      { name: "overview", path: "/?range=30d&by=model", colorScheme: "light" },
      { name: "requests", path: "/requests?range=24h", colorScheme: "light" },
      { name: "keys", path: "/keys", colorScheme: "dark" },
      { name: "policy", path: `/policies/${data.budgetId}`, colorScheme: "light" },
      { name: "audit", path: "/audit", colorScheme: "light" },
      { name: "quick-start", path: "/quick-start", colorScheme: "light" },
      { name: "namespaces", path: "/namespaces", colorScheme: "light", by: ofOperator },
    ] as const;
    for (const { name, path, colorScheme, ...more } of pictures) {
      const { by = session } = "by" in more ? more : {};
      const { page, context } = await view(browser, node.consoleUrl + path, { ...by, colorScheme });
      await page.setViewportSize({ width: 1_100, height: 720 });
      await page.screenshot({ path: join(FOLDER, `${name}.png`) });
      await context.close();
    }
  });
});
