import { expect, it } from "vitest";
import { nextSteps } from "./next-steps.ts";
import { CHECKOUT } from "./home.ts";

const services = { auth: 1, policy: 2, usage: 3, aggregator: 4 };
const operations = { ...services, gateway: 9, console: 10 };
const ready = {
  gatewayPorts: [8080, 8081],
  addresses: { postgres: 5, nats: 6, services, grpc: { auth: 7, policy: 8 }, console: 11, operations },
  isSignedIn: true,
  signInUrl: "http://127.0.0.1:11/sign-in#code=abc",
  startMs: 2_345,
  isVerbose: false,
};

it("shows paths relative to the folder, and every gateway", () => {
  const text = nextSteps({ ...ready, home: `${CHECKOUT}/.routeplane`, isDefaultHome: true, folder: CHECKOUT });
  expect(text).toContain("ready on http://127.0.0.1:8080, http://127.0.0.1:8081 (after 2.3 s)");
  expect(text).toContain('"Authorization: Bearer $(cat .routeplane/api-key)"');
  expect(text).not.toContain("export");
});

it("names a home that is not the default, quoted for a shell", () => {
  const text = nextSteps({ ...ready, home: "/srv/my node", isDefaultHome: false, folder: CHECKOUT });
  expect(text).toContain("export ROUTEPLANE_HOME='/srv/my node'");
  expect(text).toContain("$(cat '/srv/my node'/api-key)");
});

it("says how to sign in again if no key is saved", () => {
  const home = { home: "/srv/node", isDefaultHome: false, folder: CHECKOUT };
  const text = nextSteps({ ...ready, ...home, isSignedIn: false });
  expect(text).not.toContain("api-key");
  expect(text).toMatch(
    /There is no saved key.*\n {2}export.*\n.*cloud keys mint --namespace default .*\n.*cloud login\n/,
  );
});

it("names the gRPC ports only on request", () => {
  const home = { home: "/srv/node", isDefaultHome: false, folder: CHECKOUT };
  expect(nextSteps({ ...ready, ...home })).not.toContain("gRPC");
  const text = nextSteps({ ...ready, ...home, isVerbose: true });
  expect(text).toContain("gRPC: auth 127.0.0.1:1, policy 127.0.0.1:2, usage 127.0.0.1:3\n");
  expect(text).toContain("VerifyKey 127.0.0.1:7, Admit and Settle 127.0.0.1:8\n");
});

it("shows where the console signs in, unless the node runs none", () => {
  const home = { home: "/srv/node", isDefaultHome: false, folder: CHECKOUT };
  expect(nextSteps({ ...ready, ...home })).toContain("\nConsole: http://127.0.0.1:11/sign-in#code=abc\n");
  expect(nextSteps({ ...ready, ...home, signInUrl: undefined })).not.toContain("onsole");
});
