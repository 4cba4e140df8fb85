import type { EventPublisher } from "@routeplane/events";
import type { Logger } from "@routeplane/runtime";
import { createLogger } from "@routeplane/runtime";
import { type Gateway, wireGateway } from "../src/app.ts";
import type { Upstream } from "../src/domain/ports/upstream.ts";
import { boundTokens } from "../src/domain/request/token-bounds.ts";
import type { Route } from "../src/handlers/router.ts";
import { loadProviders } from "../src/providers/providers.ts";

const natsOutage = "spool" as const;
const NOWHERE = "http://127.0.0.1:9";
const publisher: EventPublisher = {
  name: "nobody",
  pendingFromPreviousRun: [],
  enqueue: () => 1,
  complete() {},
  record: () => ({ pendingSettlementOffset: 0, committed: async () => {} }),
  recordOrSend: () => 0,
  spoolBytes: () => 0,
  acceptsNew: () => true,
  isReachable: async () => true,
  stop: async () => {},
};

/** A gateway whose services are all away, and whose upstream calls `onReached` and fails. */
export function wireUnservedGateway(log: Logger, onReached: () => void): Gateway {
  const upstream: Upstream = {
    boundTokens,
    async chatCompletion() {
      onReached();
      throw new Error("reached");
    },
    close: async () => {},
  };
  const providers = loadProviders({ file: undefined, echo: true, openAiApiKey: undefined, variable: () => undefined });
  const config = {
    serviceToken: "rps_x",
    authUrl: NOWHERE,
    policyUrl: NOWHERE,
    usageUrl: NOWHERE,
    providers,
    natsOutage,
  };
  return wireGateway({ config, publisher, upstreams: new Map([["echo", upstream]]), log, clock: Date.now });
}

/** Every address that the gateway serves, whatever may be added to it. */
export async function routeTable(): Promise<readonly Pick<Route, "method" | "path" | "reaches">[]> {
  const { routes, components } = wireUnservedGateway(
    createLogger("gateway", (line) => line, "silent"),
    () => {},
  );
  await Promise.all(components.map((component) => component.stop()));
  return routes.map(({ method, path, reaches }) => ({ method, path, reaches }));
}
