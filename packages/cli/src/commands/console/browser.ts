import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Context } from "../../context.ts";

/** Time to wait for a failure of the program that opens addresses. */
const FAILURE_WITHIN_MS = 3_000;

/** True if a browser can be opened for the person at the terminal of this invocation. */
export function hasBrowser({ stdout, output, settings: { environment } }: Context): boolean {
  if (stdout.isTTY !== true || output.json) return false;
  return process.platform !== "linux" || Boolean(environment["DISPLAY"] || environment["WAYLAND_DISPLAY"]);
}

/** Opens an address in the browser of the user. @returns false if the system has no program for that, or it fails */
export async function openInBrowser(url: string): Promise<boolean> {
  const program = process.platform === "darwin" ? "open" : "xdg-open";
  const child = spawn(program, [url], { stdio: "ignore", detached: true });
  child.unref();
  try {
    const [code] = (await once(child, "exit", { signal: AbortSignal.timeout(FAILURE_WITHIN_MS) })) as [number | null];
    return code === 0;
  } catch (error) {
    // The program can run as long as the browser.
    return error instanceof Error && error.name === "AbortError";
  }
}
