import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GuardrailSpecSchema, UpdateGuardrailRequestSchema } from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import { fromWrittenJson, HOSTED_TOOLS, MODALITIES, SERVICE_TIERS } from "@routeplane/policy-spec";
import { toProtoGuardrail } from "@routeplane/policy-spec/proto";
import { PROTO_PATTERN_ACTIONS, PROTO_PATTERN_TARGETS, PROTO_UNINSPECTABLE } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import {
  countArgument,
  MAX_COUNT,
  modelsArgument,
  type NamedPattern,
  patternArgument,
  wordsArgument,
} from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { writtenJson } from "../../specs/read-spec.ts";
import { addPolicyKindCommands, type PolicyKindDefinition } from "./kind-commands.ts";

const tiersArgument = wordsArgument(SERVICE_TIERS);
const modalitiesArgument = wordsArgument(MODALITIES);
const hostedToolsArgument = wordsArgument(HOSTED_TOOLS);

interface Flags {
  readonly modelAllow?: readonly string[];
  readonly modelDeny?: readonly string[];
  readonly maxRequestTokens?: bigint;
  readonly allowStreaming?: "true" | "false";
  readonly block?: readonly NamedPattern[];
  readonly redact?: readonly NamedPattern[];
  readonly appliesTo?: keyof typeof PROTO_PATTERN_TARGETS;
  readonly uninspectable?: keyof typeof PROTO_UNINSPECTABLE;
  readonly serviceTierAllow?: readonly string[];
  readonly modalityAllow?: readonly string[];
  readonly hostedToolAllow?: readonly string[];
  readonly clearModelAllow?: true;
  readonly clearModelDeny?: true;
  readonly clearMaxRequestTokens?: true;
  readonly clearAllowStreaming?: true;
  readonly clearContentPatterns?: true;
  readonly clearUninspectable?: true;
  readonly clearServiceTierAllow?: true;
  readonly clearModalityAllow?: true;
  readonly clearHostedToolAllow?: true;
}

const guardrail: PolicyKindDefinition<
  MessageInitShape<typeof GuardrailSpecSchema>,
  MessageInitShape<typeof UpdateGuardrailRequestSchema>,
  Flags
> = {
  kind: "guardrail",
  command: "guardrail",
  examples: {
    create: [
      'cloud guardrail create --name models --model-allow "openai/*, echo" --model-deny "*-preview" --bind-namespace',
      "cloud guardrail create --name cards --redact card='\\b\\d{16}\\b' --bind-key key_01jxyz…",
      "cloud guardrail create --name small --max-request-tokens 8192 --allow-streaming false",
      "cloud guardrail create --name text --block secret='(?i)top secret' --uninspectable block",
      'cloud guardrail create --name plain --service-tier-allow "auto, default" --modality-allow text --hosted-tool-allow ""',
      "cloud guardrail create --name all --spec guardrail.json",
    ],
    update: [
      "cloud guardrail update pol_01jxyz… --max-request-tokens 4096 --clear-model-deny",
      "cloud guardrail update pol_01jxyz… --block secret='(?i)top secret' --applies-to request",
    ],
  },

  addFlags(command) {
    command
      .option("--model-allow <models>", 'Allowed models, by comma; * is any text, "" allows none', modelsArgument)
      .option("--model-deny <models>", "Denied models, by comma, even if they are allowed", modelsArgument)
      .option(
        "--max-request-tokens <number>",
        "Maximum number of tokens of a request, input and output",
        countArgument(MAX_COUNT),
      )
      .addOption(new Option("--allow-streaming <bool>", "Permission to stream answers").choices(["true", "false"]))
      .option("--block <name=pattern>", "RE2 pattern that refuses what it matches; repeatable", patternArgument)
      .option("--redact <name=pattern>", "RE2 pattern that replaces what it matches; repeatable", patternArgument)
      .addOption(
        new Option("--applies-to <where>", "Side that the patterns inspect (default: both)").choices(
          Object.keys(PROTO_PATTERN_TARGETS),
        ),
      )
      .addOption(
        new Option("--uninspectable <rule>", "Rule for images, audio and binary files").choices(
          Object.keys(PROTO_UNINSPECTABLE),
        ),
      )
      .option("--service-tier-allow <tiers>", 'Allowed service tiers, by comma; "" allows none', tiersArgument)
      .option("--modality-allow <kinds>", 'Allowed kinds of output, by comma; "" allows none', modalitiesArgument)
      .option("--hosted-tool-allow <tools>", 'Allowed provider-run tools; "" allows none', hostedToolsArgument);
  },
  addClearFlags(command) {
    command
      .option("--clear-model-allow", "Remove the allow-list")
      .option("--clear-model-deny", "Remove the deny-list")
      .option("--clear-max-request-tokens", "Remove the maximum of tokens")
      .option("--clear-allow-streaming", "Remove the rule on streaming")
      .option("--clear-content-patterns", "Remove all patterns")
      .option("--clear-uninspectable", "Remove the rule for uninspectable content")
      .option("--clear-service-tier-allow", "Remove the rule on service tiers")
      .option("--clear-modality-allow", "Remove the rule on kinds of output")
      .option("--clear-hosted-tool-allow", "Remove the rule on provider-run tools");
  },

  async spec(flags) {
    const rules = rulesOf(flags);
    if (Object.keys(rules).length > 0) return rules;
    throw usageError(
      "give at least one of --model-allow, --model-deny, --max-request-tokens, --allow-streaming, --block, --redact, --uninspectable, --service-tier-allow, --modality-allow and --hosted-tool-allow, or --spec",
    );
  },
  read: (json) => toProtoGuardrail(fromWrittenJson("guardrail", writtenJson(json))),
  change: async (flags) => {
    const { clearModelAllow, clearModelDeny, clearMaxRequestTokens, clearAllowStreaming, clearContentPatterns } = flags;
    const clear = definedFields({ clearModelAllow, clearModelDeny, clearMaxRequestTokens });
    const { clearUninspectable, clearServiceTierAllow, clearModalityAllow, clearHostedToolAllow } = flags;
    return {
      ...rulesOf(flags),
      ...clear,
      ...definedFields({ clearAllowStreaming, clearContentPatterns, clearUninspectable }),
      ...definedFields({ clearServiceTierAllow, clearModalityAllow, clearHostedToolAllow }),
    };
  },

  calls: ({ guardrails }) => ({
    create: (request) => guardrails.createGuardrail(request),
    get: (request) => guardrails.getGuardrail(request),
    list: (page) => guardrails.listGuardrails(page),
    update: (request) => guardrails.updateGuardrail(request),
    remove: (request) => guardrails.deleteGuardrail(request),
  }),
};

/** Rules that the flags set; empty if they set none. */
function rulesOf(flags: Flags) {
  const {
    modelAllow,
    modelDeny,
    maxRequestTokens,
    allowStreaming,
    block = [],
    redact = [],
    appliesTo,
    uninspectable,
    serviceTierAllow,
    modalityAllow,
    hostedToolAllow,
  } = flags;
  const withAction = (patterns: readonly NamedPattern[], action: keyof typeof PROTO_PATTERN_ACTIONS) =>
    patterns.map(({ name, pattern }) => ({
      name,
      pattern,
      action: PROTO_PATTERN_ACTIONS[action],
      appliesTo: PROTO_PATTERN_TARGETS[appliesTo ?? "both"],
    }));
  const contentPatterns = [...withAction(block, "block"), ...withAction(redact, "redact")];
  if (appliesTo !== undefined && contentPatterns.length === 0) {
    throw usageError("--applies-to applies to patterns: give --block or --redact with it");
  }
  return definedFields({
    modelAllow: modelAllow && { models: [...modelAllow] },
    modelDeny: modelDeny && { models: [...modelDeny] },
    maxRequestTokens,
    allowStreaming: allowStreaming === undefined ? undefined : allowStreaming === "true",
    contentPatterns: contentPatterns.length === 0 ? undefined : contentPatterns,
    uninspectable: uninspectable && PROTO_UNINSPECTABLE[uninspectable],
    serviceTierAllow: serviceTierAllow && { tiers: [...serviceTierAllow] },
    modalityAllow: modalityAllow && { modalities: [...modalityAllow] },
    hostedToolAllow: hostedToolAllow && { tools: [...hostedToolAllow] },
  });
}

export function addGuardrailCommands(group: Command, context: Context): void {
  addPolicyKindCommands(group, context, guardrail);
}
