import { readEnvironment } from "@routeplane/runtime";
import { DEFAULT_ROLE_PREFIX, parseRolePrefix, ROLE_PREFIX_RULE } from "./role-names.ts";
import { databasePlan, provision, type RoleName } from "./provision.ts";

/** Provisions a database. The administrator's URL and a password for each role come from the environment. */
try {
  const { adminUrl, plan, replacePasswords } = readEnvironment(process.env, (env) => ({
    adminUrl: env.secretUrl("ROUTEPLANE_ADMIN_DATABASE_URL", ["postgres:", "postgresql:"]).current,
    plan: {
      ...databasePlan(
        env.text("ROUTEPLANE_DATABASE", "routeplane"),
        (role) => env.secret(passwordVariable(role)).current,
        env.parsed("ROUTEPLANE_ROLE_PREFIX", ROLE_PREFIX_RULE, parseRolePrefix, DEFAULT_ROLE_PREFIX),
      ),
      backupPassword: env.optionalSecret("ROUTEPLANE_PASSWORD_BACKUP")?.current,
    },
    replacePasswords: env.parsed("ROUTEPLANE_REPLACE_PASSWORDS", "must be on or off", parseSwitch, "off") === "on",
  }));
  await provision(adminUrl, plan, { replacePasswords });
  process.stdout.write(`provisioned database ${plan.database}\n`);
} catch (error) {
  process.stderr.write(`cannot provision: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** Name of the variable with a role's password, e.g. ROUTEPLANE_PASSWORD_AUTH_OWNER for routeplane_auth_owner. */
function passwordVariable(role: RoleName): string {
  return `ROUTEPLANE_PASSWORD_${role.replace(/^routeplane_/, "").toUpperCase()}`;
}

function parseSwitch(text: string): "on" | "off" | undefined {
  return text === "on" || text === "off" ? text : undefined;
}
