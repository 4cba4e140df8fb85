import type { Logger } from "@routeplane/runtime";
import { constant, createLogger, readEnvironment, readTrustedProxies } from "@routeplane/runtime";
import { type Gateway, wireGateway } from "../src/app.ts";
import { ProviderSet } from "../src/domain/provider-set.ts";
import { createModelDirectory } from "../src/domain/request/model-directory.ts";
import type { Upstream } from "../src/domain/ports/upstream.ts";
import { boundTokens } from "../src/domain/request/token-bounds.ts";
import type { Route } from "../src/handlers/router.ts";
import { loadProviders } from "../src/providers/providers.ts";
import { fakeEventPublisher } from "./fake-event-publisher.ts";

const natsOutage = "spool" as const;
const NOWHERE = "http://127.0.0.1:9";

/** Wires a gateway whose services do not answer, and whose upstream calls `onReached` and fails. */
export function wireUnservedGateway(log: Logger, onReached: () => void): Gateway {
  const upstream: Upstream = {
    boundTokens,
    async send() {
      onReached();
      throw new Error("reached");
    },
    close: async () => {},
  };
  const providers = loadProviders({ file: undefined, echo: true, openAiApiKey: undefined, variable: () => undefined });
  const directory = createModelDirectory(providers.flatMap(({ models }) => models));
  const config = {
    serviceToken: constant("rps_x"),
    tls: undefined,
    authUrl: NOWHERE,
    policyUrl: NOWHERE,
    usageUrl: NOWHERE,
    natsOutage,
    reportWithinMs: 5_000,
    maxRequestBytes: 1 << 20,
    ...readEnvironment({}, (env) => ({ trustedProxies: readTrustedProxies(env) })),
    heartbeatMs: 15_000,
    keyCacheBytes: 1024 ** 2,
    guardrailCacheBytes: 1024 ** 2,
    spoolFolder: "/",
    cacheMaxAgeMs: 900_000,
  };
  return wireGateway({
    config,
    publisher: fakeEventPublisher,
    providers: { current: new ProviderSet(directory, new Map([["echo", upstream]]), new Date()) },
    log,
    clock: Date.now,
  });
}

/** Returns every route of the gateway, including those that are added later. */
export async function routeTable(): Promise<readonly Pick<Route, "method" | "path" | "reaches">[]> {
  const { routes, components } = wireUnservedGateway(
    createLogger("gateway", (line) => line, "silent"),
    () => {},
  );
  await Promise.all(components.map((component) => component.stop()));
  return routes.map(({ method, path, reaches }) => ({ method, path, reaches }));
}
