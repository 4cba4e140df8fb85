import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type BrowserServer,
  chromium,
  type LaunchOptions,
  type Page,
} from "playwright-core";
import { chromiumPath } from "./chromium.ts";

export type { BrowserContextOptions };

/** Time for the start of a node and the installation of a browser, if there is none yet. */
export const INSTALL_MS = 700_000;

/** Maximum wait of an action in a test. It is long, because nodes and browsers share two busy cores. */
const WAIT_MS = 90_000;

/**
 * Browser of a test file. Each test opens its own contexts, which share no cookies, storage or cache. A page that stays open keeps working.
 */
export interface TestBrowser {
  /** Opens a page in a new context. */
  open(options?: BrowserContextOptions): Promise<TestPage>;
  /** Closes all contexts that were opened here. */
  closePages(): Promise<void>;
  close(): Promise<void>;
}

/** Page that collects its faults. */
export interface TestPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Faults so far: uncaught errors, violations of the content security policy, and errors on the browser's console. */
  readonly faults: readonly string[];
  /** Everything that the page wrote to the browser's console. */
  readonly consoleTexts: readonly string[];
  /** Calls to services so far, as `Service/Method`. */
  readonly calls: readonly string[];
}

/** Starts a headless browser. Takes a second, or minutes if it has to be installed first. */
export async function startBrowser(): Promise<TestBrowser> {
  return toTestBrowser(await chromium.launch(await launchOptions()));
}

/** Starts a browser as `startBrowser` does, for other processes to connect to. */
export async function startBrowserServer(): Promise<BrowserServer> {
  return chromium.launchServer(await launchOptions());
}

/**
 * Connects to a browser that another process has started. Contexts of other connections are not visible, and are closed with their
 * connection.
 */
export async function connectBrowser(endpoint: string): Promise<TestBrowser> {
  return toTestBrowser(await chromium.connect(endpoint));
}

async function launchOptions(): Promise<LaunchOptions> {
  return {
    executablePath: await chromiumPath(),
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  };
}

function toTestBrowser(browser: Browser): TestBrowser {
  return {
    open: (options) => openPage(browser, options),
    async closePages() {
      await Promise.all(browser.contexts().map((context) => context.close()));
    },
    close: () => browser.close(),
  };
}

async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<TestPage> {
  const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(WAIT_MS);
  const [faults, consoleTexts, calls]: [string[], string[], string[]] = [[], [], []];
  context.on("page", (page) => {
    page.on("console", (message) => {
      consoleTexts.push(message.text());
      if (message.type() === "error" && !isRefusal(message.text())) faults.push(message.text());
    });
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("request", (request) => {
      const [, call] = /\/api\/routeplane\.\w+\.v1\.(\w+\/\w+)$/.exec(new URL(request.url()).pathname) ?? [];
      if (call !== undefined) calls.push(call);
    });
  });
  const page = await context.newPage();
  return { page, context, faults, consoleTexts, calls };
}

/** True for the console line with which the browser reports a response with an error status, because the page itself shows such errors. */
function isRefusal(text: string): boolean {
  return text.startsWith("Failed to load resource: the server responded with a status of");
}
