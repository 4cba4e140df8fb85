import { nameFault, StrictJson } from "@routeplane/domain";
import {
  MAX_MODEL_CHARS,
  MAX_MODELS,
  MAX_PATTERN_CHARS,
  MAX_PATTERN_NAME_CHARS,
  MAX_PATTERNS,
} from "@routeplane/guardrails/spec";
import {
  fromWrittenJson,
  guardrailTextFaults,
  type PolicyKind,
  type PolicySpec,
  type SpecOf,
} from "@routeplane/policy-spec";

/** Faults by the path of the field in the JSON of the policy, e.g. `spec.content_patterns[2].name`. */
export type Faults = ReadonlyMap<string, string>;

/** Maximum length of the name of a policy, in characters. */
export const MAX_NAME_CHARS = 100;

/** Returns the fault of the name of a policy as a text for people; undefined if it is valid. */
export function policyNameFault(name: string): string | undefined {
  return Array.from(name).length > MAX_NAME_CHARS ? `must have at most ${MAX_NAME_CHARS} characters` : nameFault(name);
}

/**
 * Returns the faults of a JSON spec by the rules of the policy service; whether patterns compile is not checked. Each field is validated
 * alone, so that a fault in one field does not hide faults in others.
 */
export function specFaults(kind: PolicyKind, json: unknown, path = "spec"): Faults {
  const faults = kind === "preset" ? partFaults(json, path) : fieldFaults(kind, json, path);
  if (faults.size > 0) return faults;
  const whole = read(kind, json, path);
  return whole instanceof SpecFault ? new Map([[whole.path, whole.rule]]) : faults;
}

/** Converts JSON without faults to a spec. @throws Error for JSON with faults */
export function readWritten(kind: PolicyKind, json: unknown): PolicySpec {
  const spec = read(kind, json, "spec");
  if (spec instanceof SpecFault) throw spec;
  return spec;
}

class SpecFault extends Error {
  readonly path: string;
  readonly rule: string;

  constructor(path: string, rule: string) {
    super(`${path}: ${rule}`);
    this.path = path;
    this.rule = rule;
  }
}

function read<Kind extends PolicyKind>(kind: Kind, json: unknown, path: string): SpecOf<Kind> | SpecFault {
  try {
    return fromWrittenJson(kind, new StrictJson(json, path, (at, rule) => new SpecFault(at, rule)));
  } catch (error) {
    if (error instanceof SpecFault) return error;
    throw error;
  }
}

const PARTS = ["budget", "rate_limit", "guardrail"] as const;

function partFaults(json: unknown, path: string): Faults {
  const parts = membersOf(json);
  const faults = new Map<string, string>();
  for (const part of PARTS.filter((name) => parts.has(name))) {
    for (const [at, rule] of specFaults(part, parts.get(part), `${path}.${part}`)) faults.set(at, rule);
  }
  return faults;
}

/** Valid values of the required fields of each kind, so that its other fields can be validated alone. */
const VALID_FIELDS = {
  budget: { window: "hour", limit_micro_usd: 1 },
  rate_limit: { window_secs: 1, max_requests: 1 },
  guardrail: {},
} as const;

function fieldFaults(kind: Exclude<PolicyKind, "preset">, json: unknown, path: string): Faults {
  const faults = new Map<string, string>();
  const members = membersOf(json);
  for (const [name, value] of members) {
    const patterns = name === "content_patterns" && Array.isArray(value) ? value : [];
    for (const [index, pattern] of patterns.entries()) {
      const fault = read("guardrail", { content_patterns: [pattern] as unknown }, path);
      if (fault instanceof SpecFault) faults.set(fault.path.replace("[0]", `[${index}]`), fault.rule);
    }
    if ([...faults.keys()].some((at) => at.startsWith(`${path}.${name}[`))) continue;
    const spec = read(kind, { ...VALID_FIELDS[kind], ...requiredBy(name, members), [name]: value }, path);
    if (spec instanceof SpecFault) faults.set(spec.path, spec.rule);
    else if (spec.kind === "guardrail") for (const [at, rule] of listFaults(spec, path)) faults.set(at, rule);
  }
  return faults;
}

/** Field that another field is validated with: the window for the time zone. */
function requiredBy(name: string, members: ReadonlyMap<string, unknown>): object {
  return name === "time_zone" && members.has("window") ? { window: members.get("window") } : {};
}

function* listFaults(spec: SpecOf<"guardrail">, path: string): Generator<readonly [string, string]> {
  const { modelAllow = [], modelDeny = [], contentPatterns = [] } = spec;
  for (const [list, models] of [
    ["model_allow", modelAllow],
    ["model_deny", modelDeny],
  ] as const) {
    if (models.length > MAX_MODELS) yield [`${path}.${list}`, `must have at most ${MAX_MODELS} models`];
    const long = models.findIndex((model) => Array.from(model).length > MAX_MODEL_CHARS);
    if (long >= 0) yield [`${path}.${list}[${long}]`, atMost(MAX_MODEL_CHARS)];
  }
  if (contentPatterns.length > MAX_PATTERNS) {
    yield [`${path}.content_patterns`, `must have at most ${MAX_PATTERNS} patterns`];
  }
  for (const [index, { name, pattern }] of contentPatterns.entries()) {
    const at = `${path}.content_patterns[${index}]`;
    if (Array.from(name).length > MAX_PATTERN_NAME_CHARS) yield [`${at}.name`, atMost(MAX_PATTERN_NAME_CHARS)];
    if (pattern.length > MAX_PATTERN_CHARS) yield [`${at}.pattern`, atMost(MAX_PATTERN_CHARS)];
  }
  for (const { list, index, member, rule } of guardrailTextFaults(spec)) {
    yield [`${path}.${list}[${index}]${member === undefined ? "" : `.${member}`}`, rule];
  }
}

function atMost(characters: number): string {
  return `must have at most ${characters} characters`;
}

function membersOf(json: unknown): ReadonlyMap<string, unknown> {
  const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
  return new Map(isObject ? Object.entries(json) : []);
}
