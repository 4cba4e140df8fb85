/** Server with Fastify that requires an API key of its callers. */
import { authenticateCall, verifier } from "@routeplane/client"; // protects
import { fastify } from "fastify";

const { PORT = "3000", ROUTEPLANE_AUTH_URL: url = "", ROUTEPLANE_SERVICE_CREDENTIAL = "" } = process.env;

const app = fastify();

const keys = verifier({ url, serviceCredential: ROUTEPLANE_SERVICE_CREDENTIAL }); // protects
const invoking = { scope: "inference:invoke" }; // protects
app.addHook("onRequest", ({ raw }, reply) => authenticateCall(keys, invoking, raw, reply.raw)); // protects

// The verification result is cached: authenticating again makes no call.
app.get("/", async ({ headers }) => `hello ${(await keys.authenticate(headers)).keyId}`);

// Runs until the caller disconnects or its key is revoked.
app.get("/events", (_request, reply) => {
  reply.hijack();
  reply.raw.write("begun");
});

await app.listen({ port: Number(PORT), host: "127.0.0.1" });
process.stdout.write(`${JSON.stringify(app.server.address())}\n`);
