import { readEnvironment } from "@routeplane/runtime";
import { databasePlan, provision, type RoleName } from "./provision.ts";

/** A whole provisioning process: the administrator's URL and a password for each role from the environment, then exit. */
try {
  const { adminUrl, plan } = readEnvironment(process.env, (env) => ({
    adminUrl: env.url("ROUTEPLANE_ADMIN_DATABASE_URL", ["postgres:", "postgresql:"]),
    plan: databasePlan(env.text("ROUTEPLANE_DATABASE", "routeplane"), (role) => env.text(passwordVariable(role))),
  }));
  await provision(adminUrl, plan);
  process.stdout.write(`provisioned database ${plan.database}\n`);
} catch (error) {
  process.stderr.write(`cannot provision: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** E.g. ROUTEPLANE_PASSWORD_AUTH_OWNER for the role routeplane_auth_owner. */
function passwordVariable(role: RoleName): string {
  return `ROUTEPLANE_PASSWORD_${role.replace(/^routeplane_/, "").toUpperCase()}`;
}
