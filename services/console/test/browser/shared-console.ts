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
 * Connects to the node and the browser that all files of the project `console` share, at the same time. A file works in its own namespaces;
 * `default` belongs to the sign-in tests. A file must not do anything that affects others, e.g. kill a process.
 */
export async function connectSharedConsole(): Promise<{ readonly node: ConsoleNode; readonly browser: TestBrowser }> {
  const { browserEndpoint, ...addresses } = inject("sharedConsole");
  return { node: consoleNodeAt(addresses), browser: await connectBrowser(browserEndpoint) };
}
