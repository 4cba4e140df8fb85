/** Reader of the counts in a usage record, by the names of `usage-names.ts`, in one walk over its members. */
import { isObject, type JsonObject } from "../wire/json.ts";
import { COUNT_NAMES } from "./usage-names.ts";

export type CountKind = keyof typeof COUNT_NAMES;

/** Counts of a record as far as it has them. */
export interface UsageCounts {
  readonly values: Readonly<Partial<Record<CountKind, number>>>;
  /** Kinds for which one of the names has a value that is not a count. */
  readonly faults: ReadonlySet<CountKind>;
}

/** Bound of a count that is believed; no request uses as many tokens. */
export const MAX_TOKENS = 1_000_000_000;

const NO_FAULTS: ReadonlySet<CountKind> = new Set();

/** Reads the counts of a record. @returns undefined if it has none */
export function readCounts(record: JsonObject): UsageCounts | undefined {
  const reading = new Reading();
  reading.walk(record, ROOT);
  return reading.result;
}

/** Name of a count, or of an object or list that holds some. */
interface Branch {
  readonly counts: Map<string, { readonly kind: CountKind; readonly rank: number }>;
  readonly branches: Map<string, Branch>;
  /** Branches of the items of a list, by their modality. */
  readonly items: Map<string, Branch>;
}

const newBranch = (): Branch => ({ counts: new Map(), branches: new Map(), items: new Map() });

function branchOf(branches: Map<string, Branch>, name: string): Branch {
  const branch = branches.get(name) ?? newBranch();
  branches.set(name, branch);
  return branch;
}

function compile(): Branch {
  const root = newBranch();
  for (const kind of Object.keys(COUNT_NAMES) as CountKind[]) {
    for (const [rank, path] of COUNT_NAMES[kind].entries()) {
      const steps = path.split(".");
      const last = steps.pop() ?? "";
      let branch = root;
      for (const step of steps) {
        const [name = "", modality] = step.split(/[[\]]/, 2);
        branch = branchOf(branch.branches, name);
        if (modality !== undefined) branch = branchOf(branch.items, modality);
      }
      branch.counts.set(last, { kind, rank });
    }
  }
  return root;
}

const ROOT = compile();

class Reading {
  readonly #values: Partial<Record<CountKind, number>> = {};
  readonly #ranks: Partial<Record<CountKind, number>> = {};
  #faults: Set<CountKind> | undefined;
  #isEmpty = true;

  get result(): UsageCounts | undefined {
    if (this.#isEmpty) return undefined;
    return { values: this.#values, faults: this.#faults ?? NO_FAULTS };
  }

  walk(record: JsonObject, branch: Branch): void {
    for (const name in record) {
      const value = record[name];
      if (value === undefined || value === null) continue;
      const count = branch.counts.get(name);
      if (count !== undefined) this.#add(count.kind, count.rank, value);
      if (typeof value !== "object") continue;
      const inner = branch.branches.get(name);
      if (inner === undefined) continue;
      if (isObject(value)) this.walk(value, inner);
      else if (Array.isArray(value)) this.#walkList(value, inner);
    }
  }

  #walkList(list: readonly unknown[], { items }: Branch): void {
    for (const item of list) {
      const modality = isObject(item) ? item["modality"] : undefined;
      const branch = typeof modality === "string" ? items.get(modality) : undefined;
      if (branch !== undefined && isObject(item)) this.walk(item, branch);
    }
  }

  #add(kind: CountKind, rank: number, written: unknown): void {
    this.#isEmpty = false;
    const count = toCount(written);
    if (count === undefined) {
      this.#faults ??= new Set();
      this.#faults.add(kind);
      return;
    }
    const known = this.#values[kind];
    const isBetter = known === undefined || (count > 0 && (known === 0 || rank < (this.#ranks[kind] ?? 0)));
    if (!isBetter) return;
    this.#values[kind] = count;
    this.#ranks[kind] = rank;
  }
}

/** Whole number of tokens, or digits that write one. */
function toCount(value: unknown): number | undefined {
  const number = typeof value === "string" && /^\s*\d{1,15}(?:\.0*)?\s*$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number > MAX_TOKENS) return undefined;
  return number + 0;
}
