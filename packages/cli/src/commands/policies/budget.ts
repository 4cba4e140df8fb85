import type { MessageInitShape } from "@bufbuild/protobuf";
import type { UpdateBudgetRequestSchema } from "@routeplane/contracts/policy";
import { present } from "@routeplane/domain";
import { type Command, Option } from "commander";
import { limitArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { budgetAt, type BudgetInit } from "../../specs/read-spec.ts";
import { BUDGET_WINDOWS } from "../../views/words.ts";
import { addPolicyKindCommands, type PolicyKindDefinition } from "./kind-commands.ts";

interface Flags {
  readonly window?: keyof typeof BUDGET_WINDOWS;
  readonly limitMicroUsd?: bigint;
}

const budget: PolicyKindDefinition<BudgetInit, MessageInitShape<typeof UpdateBudgetRequestSchema>, Flags> = {
  kind: "budget",
  command: "budget",
  description: "Manage budgets, which limit spend within a rolling window",
  examples: {
    create: [
      "cloud budget create --name daily-cap --window day --limit-micro-usd 5000000",
      "cloud budget create --name agent-cap --window week --limit-micro-usd 5000000 --bind-key key_01jxyz…",
      "cloud budget create --name total --window total --limit-micro-usd 90000000 --bind-namespace",
    ],
    update: ["cloud budget update pol_01jxyz… --limit-micro-usd 9000000"],
  },

  addFlags(command) {
    command
      .addOption(
        new Option("--window <window>", "Rolling window: 1 hour, 24 hours, 7 days, 30 days, or total").choices(
          Object.keys(BUDGET_WINDOWS),
        ),
      )
      .option("--limit-micro-usd <number>", "Limit in micro-USD; 5000000 is 5 USD", limitArgument);
  },
  addClearFlags: (command: Command) => command,

  async spec({ window, limitMicroUsd }) {
    if (window === undefined || limitMicroUsd === undefined) {
      throw usageError("give --window and --limit-micro-usd, or --spec");
    }
    return { window: BUDGET_WINDOWS[window], limitMicroUsd };
  },
  read: (json) => budgetAt(json, "spec"),
  change: async ({ window, limitMicroUsd }) =>
    present({ window: window === undefined ? undefined : BUDGET_WINDOWS[window], limitMicroUsd }),

  calls: ({ budgets }) => ({
    create: (request) => budgets.createBudget(request),
    get: (request) => budgets.getBudget(request),
    list: (page) => budgets.listBudgets(page),
    update: (request) => budgets.updateBudget(request),
    remove: (request) => budgets.deleteBudget(request),
  }),
};

export function addBudgetCommands(cloud: Command, context: Context): void {
  addPolicyKindCommands(cloud, context, budget);
}
