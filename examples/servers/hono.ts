/** A server of Hono whose callers need an API key. */
import { serve } from "@hono/node-server";
import { verifier } from "@routeplane/client"; // protects
import { Hono } from "hono";

const { PORT = "3000", ROUTEPLANE_AUTH_URL: url = "", ROUTEPLANE_SERVICE_CREDENTIAL = "" } = process.env;

const app = new Hono();

const keys = verifier({ url, serviceCredential: ROUTEPLANE_SERVICE_CREDENTIAL }); // protects
app.use(({ req }, proceed) => keys.authenticate(req.raw.headers, { scope: "inference:invoke" }).then(proceed)); // protects

// The caller is cached: to ask for it again makes no call.
app.get("/", async ({ req, text }) => text(`hello ${(await keys.authenticate(req.raw.headers)).keyId}`));

serve({ fetch: app.fetch, port: Number(PORT), hostname: "127.0.0.1" }, (address) => {
  process.stdout.write(`${JSON.stringify(address)}\n`);
});
