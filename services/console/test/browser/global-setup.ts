import { copyHome } from "@routeplane/testing";
import type { TestProject } from "vitest/node";
import { newHome } from "../../../../test/harness/node.ts";
import { startBrowserServer } from "./browser.ts";
import { startConsoleNode } from "./console-node.ts";

/** Starts a node with a console and a browser before the files of the project run, which all share them, and stops both at the end. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const home = await newHome();
  await copyHome(project.getProvidedContext().testServers.home, home);
  const [node, browser] = await Promise.all([startConsoleNode({ home }), startBrowserServer()]);
  const { url, consoleUrl } = node;
  project.provide("sharedConsole", { home, url, consoleUrl, browserEndpoint: browser.wsEndpoint() });
  return async () => {
    await browser.close();
    await node.remove();
  };
}
