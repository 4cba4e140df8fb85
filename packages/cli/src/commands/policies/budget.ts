import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BudgetSpecSchema, UpdateBudgetRequestSchema } from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import { fromWrittenJson } from "@routeplane/policy-spec";
import { toProtoBudget } from "@routeplane/policy-spec/proto";
import { PROTO_BUDGET_WINDOWS } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import { limitArgument, usdArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { writtenJson } from "../../specs/read-spec.ts";
import { addPolicyKindCommands, type PolicyKindDefinition } from "./kind-commands.ts";

interface Flags {
  readonly window?: keyof typeof PROTO_BUDGET_WINDOWS;
  readonly limitMicroUsd?: bigint;
  readonly limitUsd?: bigint;
}

const budget: PolicyKindDefinition<
  MessageInitShape<typeof BudgetSpecSchema>,
  MessageInitShape<typeof UpdateBudgetRequestSchema>,
  Flags
> = {
  kind: "budget",
  command: "budget",
  examples: {
    create: [
      "cloud budget create --name daily-cap --window day --limit-micro-usd 5000000",
      "cloud budget create --name agent-cap --window week --limit-usd 5 --bind-key key_01jxyz…",
      "cloud budget create --name total --window total --limit-micro-usd 90000000 --bind-namespace",
    ],
    update: ["cloud budget update daily-cap --limit-usd 9"],
  },

  addFlags(command) {
    command
      .addOption(
        new Option("--window <window>", "Rolling window: 1 hour, 24 hours, 7 days, 30 days, or total").choices(
          Object.keys(PROTO_BUDGET_WINDOWS),
        ),
      )
      .addOption(
        new Option("--limit-micro-usd <number>", "Limit in micro-USD; 5000000 is 5 USD")
          .argParser(limitArgument)
          .conflicts("limitUsd"),
      )
      .option("--limit-usd <amount>", "Limit in USD, e.g. 5 or 0.25", usdArgument);
  },
  addClearFlags: (command: Command) => command,

  async spec({ window, limitUsd, limitMicroUsd = limitUsd }) {
    if (window === undefined || limitMicroUsd === undefined) {
      throw usageError("give --window and --limit-usd or --limit-micro-usd, or --spec");
    }
    return { window: PROTO_BUDGET_WINDOWS[window], limitMicroUsd };
  },
  read: (json) => toProtoBudget(fromWrittenJson("budget", writtenJson(json))),
  change: async ({ window, limitUsd, limitMicroUsd = limitUsd }) =>
    definedFields({ window: window === undefined ? undefined : PROTO_BUDGET_WINDOWS[window], limitMicroUsd }),

  calls: ({ budgets }) => ({
    create: (request) => budgets.createBudget(request),
    get: (request) => budgets.getBudget(request),
    list: (page) => budgets.listBudgets(page),
    update: (request) => budgets.updateBudget(request),
    remove: (request) => budgets.deleteBudget(request),
  }),
};

export function addBudgetCommands(group: Command, context: Context): void {
  addPolicyKindCommands(group, context, budget);
}
