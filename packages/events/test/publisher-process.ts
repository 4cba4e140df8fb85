import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createLogger } from "@routeplane/runtime";
import { openPublisher, parseNatsUrl, toUsageRecord } from "../src/index.ts";
import { DEFAULT_STREAM_SETTINGS } from "../src/settings.ts";
import { INSTALLATION, usageEvent } from "./kit.ts";

/** Process that records events continuously, to be killed. */
export interface PublisherProcess {
  /** Ids of the events that it has reported as recorded. */
  readonly recorded: readonly string[];
  /** Kills it with SIGKILL. */
  kill(): Promise<void>;
}

export function spawnPublisher(natsUrl: string, folder: string, name: string): PublisherProcess {
  const child: ChildProcess = fork(import.meta.filename, [natsUrl, folder, name]);
  const recorded: string[] = [];
  child.on("message", (id: string) => recorded.push(id));
  return {
    recorded,
    async kill() {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const [, , natsUrl = "", folder = "", name = ""] = process.argv;
  const nats = parseNatsUrl(natsUrl);
  if (nats === undefined) throw new Error("a URL of NATS is needed");
  const log = createLogger("test", (line) => line, "silent");
  const stream = { settings: DEFAULT_STREAM_SETTINGS, installation: async () => INSTALLATION };
  const publisher = openPublisher({ nats, ...stream, log, name, folder });
  let count = 0;
  setInterval(() => {
    for (let burst = 0; burst < 10; burst++) {
      const id = `${name}-${count++}`;
      publisher.record(toUsageRecord(usageEvent(id)));
      process.send?.(id);
    }
  }, 1);
}
