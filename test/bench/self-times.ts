import { dirname } from "node:path";

/** CPU profile in the format of V8's inspector. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

export interface SelfTimes {
  /** Microseconds by part, the largest first: folder of this repository, module of Node.js, package, garbage collection. */
  readonly parts: readonly (readonly [string, number])[];
  /** Microseconds by function, the largest first. */
  readonly functions: readonly (readonly [string, number])[];
  /** Microseconds in which the process was not idle. */
  readonly busyMicros: number;
}

/**
 * Groups the self time of a profile. The time of V8's own functions counts for their caller. Only what has no caller is listed by itself:
 * garbage collection, the microtask queue, and native code that no function called.
 */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): SelfTimes {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const owner = (node: ProfileNode): ProfileNode => {
    let at: ProfileNode | undefined = node;
    while (at !== undefined && at.callFrame.url === "" && !at.callFrame.functionName.startsWith("(")) {
      at = byId.get(parents.get(at.id) ?? -1);
    }
    return at === undefined || at.callFrame.functionName === "(root)" ? node : at;
  };
  const parts = new Map<string, number>();
  const functions = new Map<string, number>();
  let busyMicros = 0;
  samples.forEach((id, index) => {
    const node = byId.get(id);
    if (node === undefined || node.callFrame.functionName === "(idle)") return;
    const micros = timeDeltas[index] ?? 0;
    const { callFrame } = owner(node);
    const part = partOf(callFrame);
    busyMicros += micros;
    add(parts, part, micros);
    add(functions, nameOf(callFrame), micros);
  });
  return { parts: sorted(parts), functions: sorted(functions), busyMicros };
}

function partOf({ url, functionName }: ProfileNode["callFrame"]): string {
  if (url === "") return functionName.startsWith("(") ? functionName : `V8: ${functionName}`;
  if (url.startsWith("node:")) return url;
  const [, installed] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? [];
  return installed ?? dirname(pathOf(url));
}

function nameOf({ url, functionName, lineNumber }: ProfileNode["callFrame"]): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  if (url === "") return name;
  return `${name} ${pathOf(url).replace(/^.*\/node_modules\//, "")}:${lineNumber + 1}`;
}

/** Path of a file; relative to the root of the repository for its own files. */
function pathOf(url: string): string {
  const root = dirname(dirname(import.meta.dirname));
  return url.replace(/^file:\/\//, "").replace(`${root}/`, "");
}

function add(sums: Map<string, number>, key: string, micros: number): void {
  sums.set(key, (sums.get(key) ?? 0) + micros);
}

function sorted(sums: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...sums].toSorted(([, left], [, right]) => right - left);
}

/** Prints self times as shares, and for each request: first the parts, then the functions with most of it. */
export function printSelfTimes(profile: CpuProfile, requests: number, top = 40): void {
  const { parts, functions, busyMicros } = selfTimes(profile);
  const line = (micros: number, name: string): void => {
    const share = `${((100 * micros) / busyMicros).toFixed(1).padStart(5)} %`;
    process.stdout.write(`${share} ${(micros / requests).toFixed(1).padStart(7)} us  ${name}\n`);
  };
  line(busyMicros, "all");
  for (const [part, micros] of parts) line(micros, part);
  process.stdout.write("\n");
  for (const [name, micros] of functions.slice(0, top)) line(micros, name);
}
