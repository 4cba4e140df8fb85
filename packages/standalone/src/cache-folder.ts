import { homedir } from "node:os";
import { join } from "node:path";

/** Folder for files that all nodes of this user share and that can be recreated: fetched programs, compiled code. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
  return join(environment["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "routeplane");
}
