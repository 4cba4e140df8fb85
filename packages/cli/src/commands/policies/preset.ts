import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PresetSpecSchema, UpdatePresetRequestSchema } from "@routeplane/contracts/policy";
import { definedFields, type StrictJson } from "@routeplane/domain";
import { fromWrittenJson } from "@routeplane/policy-spec";
import { toProtoBudget, toProtoGuardrail, toProtoPreset, toProtoRateLimit } from "@routeplane/policy-spec/proto";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { writtenJson } from "../../specs/read-spec.ts";
import { readJson } from "../../specs/spec-source.ts";
import { addPolicyKindCommands, type PolicyKindDefinition } from "./kind-commands.ts";

interface Flags {
  readonly guardrail?: string;
  readonly rateLimit?: string;
  readonly budget?: string;
  readonly clearGuardrail?: true;
  readonly clearRateLimit?: true;
  readonly clearBudget?: true;
}

const preset: PolicyKindDefinition<
  MessageInitShape<typeof PresetSpecSchema>,
  MessageInitShape<typeof UpdatePresetRequestSchema>,
  Flags
> = {
  kind: "preset",
  command: "preset",
  examples: {
    create: [
      "cloud preset create --name standard --guardrail guardrail.json --budget budget.json --bind-namespace",
      "cloud preset create --name standard --spec preset.json",
    ],
    update: [
      "cloud preset update pol_01jxyz… --rate-limit rate-limit.json",
      "cloud preset update pol_01jxyz… --clear-guardrail",
    ],
  },

  addFlags(command) {
    command
      .option("--guardrail <file|->", "File with its guardrail in JSON; - is standard input")
      .option("--rate-limit <file|->", "File with its rate limit in JSON; - is standard input")
      .option("--budget <file|->", "File with its budget in JSON; - is standard input");
  },
  addClearFlags(command) {
    command
      .option("--clear-guardrail", "Remove its guardrail")
      .option("--clear-rate-limit", "Remove its rate limit")
      .option("--clear-budget", "Remove its budget");
  },

  async spec(flags, context) {
    const parts = await partsOf(flags, context);
    if (Object.keys(parts).length > 0) return parts;
    throw usageError("give at least one of --guardrail, --rate-limit and --budget, or --spec");
  },
  read: (json) => toProtoPreset(fromWrittenJson("preset", writtenJson(json))),
  async change(flags, context) {
    const { clearGuardrail, clearRateLimit, clearBudget } = flags;
    return { ...(await partsOf(flags, context)), ...definedFields({ clearGuardrail, clearRateLimit, clearBudget }) };
  },

  calls: ({ presets }) => ({
    create: (request) => presets.createPreset(request),
    get: (request) => presets.getPreset(request),
    list: (page) => presets.listPresets(page),
    update: (request) => presets.updatePreset(request),
    remove: (request) => presets.deletePreset(request),
  }),
};

async function partsOf({ guardrail, rateLimit, budget }: Flags, context: Context) {
  if ([guardrail, rateLimit, budget].filter((source) => source === "-").length > 1) {
    throw usageError("standard input holds one spec: give - once");
  }
  const part = async <T>(source: string | undefined, path: string, convert: (json: StrictJson) => T) =>
    source === undefined ? undefined : convert(writtenJson(await readJson(context, source), path));
  return definedFields({
    guardrail: await part(guardrail, "guardrail", (json) => toProtoGuardrail(fromWrittenJson("guardrail", json))),
    rateLimit: await part(rateLimit, "rate_limit", (json) => toProtoRateLimit(fromWrittenJson("rate_limit", json))),
    budget: await part(budget, "budget", (json) => toProtoBudget(fromWrittenJson("budget", json))),
  });
}

export function addPresetCommands(group: Command, context: Context): void {
  addPolicyKindCommands(group, context, preset);
}
