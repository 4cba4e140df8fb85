/** Server with Hono that requires an API key of its callers. */
import { type HttpBindings, serve } from "@hono/node-server";
import { authenticateCall, verifier } from "@routeplane/client"; // protects
import { Hono } from "hono";

const { PORT = "3000", ROUTEPLANE_AUTH_URL: url = "", ROUTEPLANE_SERVICE_CREDENTIAL = "" } = process.env;

const app = new Hono<{ Bindings: HttpBindings }>();

const keys = verifier({ url, serviceCredential: ROUTEPLANE_SERVICE_CREDENTIAL }); // protects
const invoking = { scope: "inference:invoke" }; // protects
app.use(({ env }, proceed) => authenticateCall(keys, invoking, env.incoming, env.outgoing).then(proceed)); // protects

// The verification result is cached: authenticating again makes no call.
app.get("/", async ({ req, text }) => text(`hello ${(await keys.authenticate(req.raw.headers)).keyId}`));

// Runs until the caller disconnects or its key is revoked.
app.get("/events", ({ body }) => body(new ReadableStream({ start: (events) => events.enqueue("begun") })));

serve({ fetch: app.fetch, port: Number(PORT), hostname: "127.0.0.1" }, (address) => {
  process.stdout.write(`${JSON.stringify(address)}\n`);
});
