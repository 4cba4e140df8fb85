import { homedir } from "node:os";
import { join } from "node:path";

/** Where this user keeps what every node of theirs can use, and can be made again: fetched programs, compiled code. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
  return join(environment["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "routeplane");
}
