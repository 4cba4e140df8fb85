import { readEnvironment } from "@routeplane/runtime";
import { databasePlan, provision, type RoleName } from "./provision.ts";

/** The whole of a provisioning process. The administrator's URL and a password for each role come from the environment. */
try {
  const { adminUrl, plan } = readEnvironment(process.env, (env) => ({
    adminUrl: env.secretUrl("ROUTEPLANE_ADMIN_DATABASE_URL", ["postgres:", "postgresql:"]).current,
    plan: databasePlan(
      env.text("ROUTEPLANE_DATABASE", "routeplane"),
      (role) => env.secret(passwordVariable(role)).current,
    ),
  }));
  await provision(adminUrl, plan);
  process.stdout.write(`provisioned database ${plan.database}\n`);
} catch (error) {
  process.stderr.write(`cannot provision: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** Name of the variable with a role's password, e.g. ROUTEPLANE_PASSWORD_AUTH_OWNER for routeplane_auth_owner. */
function passwordVariable(role: RoleName): string {
  return `ROUTEPLANE_PASSWORD_${role.replace(/^routeplane_/, "").toUpperCase()}`;
}
