/** Server with node:http that requires an API key of its callers. */
import { createServer, type RequestListener } from "node:http";
import { type AuthenticatedListener, protect, verifier } from "@routeplane/client"; // protects

const { PORT = "3000", ROUTEPLANE_AUTH_URL: url = "", ROUTEPLANE_SERVICE_CREDENTIAL = "" } = process.env;

const hello: AuthenticatedListener = ({ url: path }, response, { caller }) => {
  // Runs until the caller disconnects or its key is revoked.
  if (path === "/events") response.write("begun");
  else response.end(`hello ${caller.keyId}`);
};

const keys = verifier({ url, serviceCredential: ROUTEPLANE_SERVICE_CREDENTIAL }); // protects
const listener: RequestListener = protect(keys, { scope: "inference:invoke" }, hello); // protects

const server = createServer(listener).listen(Number(PORT), "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify(server.address())}\n`);
});
