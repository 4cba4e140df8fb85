import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BudgetSpecSchema, UpdateBudgetRequestSchema } from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import { fromWrittenJson } from "@routeplane/policy-spec";
import { toProtoBudget } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import { limitArgument, usdArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { writtenJson } from "../../specs/read-spec.ts";
import { addWindowOptions, toProtoWindow, WINDOW_HELP, type WindowFlags } from "../budget-window.ts";
import { addPolicyKindCommands, type PolicyKindDefinition } from "./kind-commands.ts";

interface Flags extends WindowFlags {
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
      "cloud budget create --name books --window calendar_month --time-zone Europe/Berlin --limit-usd 200",
    ],
    update: ["cloud budget update daily-cap --limit-usd 9", "cloud budget update books --time-zone Asia/Tokyo"],
  },

  addFlags(command) {
    addWindowOptions(command, "Window within which spend counts")
      .addOption(
        new Option("--limit-micro-usd <number>", "Limit in micro-USD; 5000000 is 5 USD")
          .argParser(limitArgument)
          .conflicts("limitUsd"),
      )
      .option("--limit-usd <amount>", "Limit in USD, e.g. 5 or 0.25", usdArgument)
      .addHelpText("after", WINDOW_HELP);
  },
  addClearFlags: (command: Command) => command,

  async spec({ limitUsd, limitMicroUsd = limitUsd, ...flags }) {
    const { window, timeZone } = toProtoWindow(flags);
    if (window === undefined || limitMicroUsd === undefined) {
      throw usageError("give --window and --limit-usd or --limit-micro-usd, or --spec");
    }
    return { window, ...definedFields({ timeZone }), limitMicroUsd };
  },
  read: (json) => toProtoBudget(fromWrittenJson("budget", writtenJson(json))),
  change: async ({ limitUsd, limitMicroUsd = limitUsd, ...flags }) => ({
    ...toProtoWindow(flags),
    ...definedFields({ limitMicroUsd }),
  }),

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
