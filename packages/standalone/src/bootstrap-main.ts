import { readTls } from "@routeplane/rpc";
import { ConfigurationError, readEnvironment } from "@routeplane/runtime";
import { bootstrapNode, ensureOperatorToken, OtherCredentialError } from "./bootstrap.ts";

/** Longest wait for the auth service, which may start at the same time. */
const DEFAULT_WAIT_SECS = 300;
const MAX_WAIT_SECS = 3_600;

/**
 * Runs a bootstrapping process, which sets up a new node with an operator token. The token is in ROUTEPLANE_OPERATOR_TOKEN or in the file
 * that ROUTEPLANE_OPERATOR_TOKEN_FILE names, which is created with a new token if it does not exist. A failure is one message on stderr and
 * exit code 1; a token is never printed.
 */
const variables = process.env;
const file = variables["ROUTEPLANE_OPERATOR_TOKEN_FILE"]?.trim() || undefined;
try {
  if (file !== undefined) await saveOperatorToken(file);
  const config = readEnvironment(variables, (env) => ({
    authUrl: env.url("ROUTEPLANE_AUTH_URL", ["http:", "https:"]),
    serviceToken: env.secret("ROUTEPLANE_SERVICE_TOKEN"),
    operatorToken: env.secret("ROUTEPLANE_OPERATOR_TOKEN"),
    tls: readTls(env),
    waitSecs: env.integer("ROUTEPLANE_BOOTSTRAP_WAIT_SECS", {
      min: 0,
      max: MAX_WAIT_SECS,
      fallback: DEFAULT_WAIT_SECS,
    }),
  }));
  const { accountId, namespaceId } = await bootstrapNode({
    authUrl: config.authUrl,
    serviceToken: config.serviceToken.current,
    operatorToken: config.operatorToken.current,
    tls: config.tls,
    waitMs: config.waitSecs * 1_000,
  });
  const ids = [accountId, namespaceId].filter((id) => id !== "").join(", ");
  process.stdout.write(
    `the node is set up${ids === "" ? "" : ` (${ids})`}; its operator credential is ${source(file)}\n`,
  );
} catch (error) {
  process.stderr.write(`cannot bootstrap: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}

function source(path: string | undefined): string {
  return path === undefined ? "the value of ROUTEPLANE_OPERATOR_TOKEN" : `in ${path}`;
}

async function saveOperatorToken(path: string): Promise<void> {
  try {
    await ensureOperatorToken(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigurationError(`ROUTEPLANE_OPERATOR_TOKEN_FILE cannot be read or created: ${reason}`);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof OtherCredentialError)
    return `${error.message} than ${source(file)}: use the former one, or make another operator with it`;
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
