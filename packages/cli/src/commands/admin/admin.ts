import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { addDeadLetterCommands } from "./dead-letters.ts";
import { withExamples } from "../examples.ts";
import { addReconcileCommand } from "./reconcile.ts";

export function addAdminCommands(program: Command, context: Context): void {
  const admin = program.command("admin").description("Administer the node (operator only)");
  withExamples(admin, "admin dead-letters list", "admin reconcile");
  addDeadLetterCommands(admin, context);
  addReconcileCommand(admin, context);
}
