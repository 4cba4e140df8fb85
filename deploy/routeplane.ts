import { nameSourcesInStacks } from "./source-positions.ts";

/**
 * Entry point of the image, `routeplane <role>`: the roles, each with the module that runs it. Only the module of the given role
 * is loaded.
 */
const ROLES: Readonly<Record<string, () => Promise<unknown>>> = {
  auth: () => import("@routeplane/auth/src/main.ts"),
  policy: () => import("@routeplane/policy/src/main.ts"),
  usage: () => import("@routeplane/usage/src/main.ts"),
  aggregator: () => import("@routeplane/usage/src/aggregator-main.ts"),
  gateway: () => import("@routeplane/gateway/src/main.ts"),
  console: () => import("@routeplane/console/src/main.ts"),
  provision: () => import("@routeplane/postgres/provision-main"),
  bootstrap: () => import("@routeplane/standalone/bootstrap-main"),
  "operator-token": printOperatorToken,
  "migrate-auth": () => import("@routeplane/auth/src/migrate.ts"),
  "migrate-policy": () => import("@routeplane/policy/src/migrate.ts"),
  "migrate-usage": () => import("@routeplane/usage/src/migrate.ts"),
};

/** Prints a new operator token, for the Secret from which a node is bootstrapped. No node knows it yet. */
async function printOperatorToken(): Promise<void> {
  const { mintToken } = await import("@routeplane/credentials");
  process.stdout.write(`${mintToken("operator")}\n`);
}

const USAGE_FAULT = 2;

const [role = "", ...rest] = process.argv.slice(2);
const start = Object.hasOwn(ROLES, role) && rest.length === 0 ? ROLES[role] : undefined;
if (start === undefined) {
  process.stderr.write(`usage: routeplane <role>, one of: ${Object.keys(ROLES).join(" ")}\n`);
  process.exitCode = USAGE_FAULT;
} else {
  nameSourcesInStacks();
  await start();
}
