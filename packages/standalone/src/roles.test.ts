import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { gatewaySpec } from "./roles.ts";
import { loadSecrets } from "./secrets.ts";

it("takes an empty setting of a gateway as one that is not set", async () => {
  const home = await mkdtemp(join(tmpdir(), "routeplane-roles-"));
  onTestFinished(() => rm(home, { recursive: true }));
  const gateway = { role: "gateway", port: 8080, operationsPort: 8081, isForSpool: false };
  const variablesWith = async (environment: Readonly<Record<string, string>>) => {
    const services = { auth: 1, policy: 2, usage: 3, aggregator: 4 };
    const addresses = {
      services,
      grpc: { auth: 5, policy: 6 },
      postgres: 7,
      nats: 8,
      console: undefined,
      operations: { ...services, gateway: 9, console: 10 },
    };
    const secrets = await loadSecrets(join(home, "secrets.json"));
    const program = { entry: "routeplane.mjs", compileCache: home };
    const options = {
      spool: home,
      run: home,
      addresses,
      gatewayUrl: "",
      secrets,
      program,
      environment,
      mark: () => ({}),
    };
    return gatewaySpec(gateway, options).command.environment;
  };
  const empty = { ROUTEPLANE_ECHO: "", ROUTEPLANE_DRAIN_TIMEOUT_SECS: " ", ROUTEPLANE_GATEWAY_PROCESSES: "" };
  expect(await variablesWith(empty)).toEqual(await variablesWith({}));
});
