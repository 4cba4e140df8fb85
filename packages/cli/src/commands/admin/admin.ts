import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { withExamples } from "../examples.ts";
import { addDeadLetterCommands } from "./dead-letters.ts";
import { addReconcileCommand } from "./reconcile.ts";
import { addServiceCredentialCommands } from "./service-credentials.ts";

export function addAdminCommands(admin: Command, context: Context): void {
  withExamples(admin, "admin dead-letters list", "admin reconcile", "admin service-credentials list");
  addDeadLetterCommands(admin, context);
  addReconcileCommand(admin, context);
  addServiceCredentialCommands(admin, context);
}
