import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { errorCode, StartFailure } from "./failure.ts";

/**
 * Takes a home for this process. The lock is a socket in Linux's abstract namespace: it ends with its holder, even by
 * SIGKILL, and whoever connects is told the holder's pid.
 *
 * @throws StartFailure if a living supervisor has it
 */
export async function lockHome(home: string): Promise<{ release(): void }> {
  if (process.platform !== "linux") return { release() {} };
  const path = `\0routeplane-home-${createHash("sha256").update(home).digest("hex").slice(0, 32)}`;
  const server = createServer((peer) => {
    peer.on("error", () => {});
    peer.end(`${process.pid}`);
  });
  server.listen(path);
  try {
    await once(server, "listening");
  } catch (error) {
    if (errorCode(error) !== "EADDRINUSE") throw error;
    const holder = await text(connect(path)).catch(() => "");
    throw new StartFailure(
      `a node is already running on ${home}${holder === "" ? "" : ` (process ${holder})`}: ` +
        `use it, stop it, or give this one another ROUTEPLANE_HOME`,
    );
  }
  server.unref();
  return { release: () => void server.close() };
}
