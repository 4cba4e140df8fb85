import type { BrowserServer } from "playwright-core";
import { inject } from "vitest";
import { connectBrowser, type TestBrowser } from "./browser.ts";
import { type ConsoleAddresses, type ConsoleNode, consoleNodeAt } from "./console-node.ts";

/** Node and browser that the files of a run share. */
export interface SharedConsole extends ConsoleAddresses {
  readonly browserEndpoint: ReturnType<BrowserServer["wsEndpoint"]>;
}

declare module "vitest" {
  interface ProvidedContext {
    readonly sharedConsole: SharedConsole;
  }
}

/**
 * Connects to the node and the browser that all files of the project `console` share, at the same time. A file works in namespaces of
 * its own; `default` is that of the sign-in. Nothing may be done that others would notice, as the kill of a process.
 */
export async function connectSharedConsole(): Promise<{ readonly node: ConsoleNode; readonly browser: TestBrowser }> {
  const { browserEndpoint, ...addresses } = inject("sharedConsole");
  return { node: consoleNodeAt(addresses), browser: await connectBrowser(browserEndpoint) };
}
