import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Positions of a bundled file in its sources, for readable stacks. `--enable-source-maps` of Node.js would do the same for 20 to 60 MiB
 * a process, because it parses every map when the file is loaded; these tables are read only when a stack is read, and then dropped.
 *
 * A table is a file next to the bundled one: the length of its JSON head in 4 bytes, the head (the paths of the sources), padding to 4
 * bytes, and three unsigned 32-bit integers for each position, in order: line and column in the bundled file, and a source with its line.
 */
export const POSITIONS_SUFFIX = ".positions";

/** Bits of the line in the third integer; the rest is the number of the source. */
const LINE_BITS = 20;
const INTEGERS = 3;
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

interface SourceMapText {
  readonly sources: readonly string[];
  readonly mappings: string;
}

interface Positions {
  readonly sources: readonly string[];
  readonly integers: Uint32Array;
}

/** Encodes the table of a source map, version 3. Positions on the same source line are one. */
export function encodePositions({ sources, mappings }: SourceMapText): Uint8Array {
  const integers: number[] = [];
  let [source, line] = [0, 0];
  for (const [generatedLine, group] of mappings.split(";").entries()) {
    let column = 0;
    for (const segment of group === "" ? [] : group.split(",")) {
      const [columnStep = 0, sourceStep = 0, lineStep = 0] = decodeDeltas(segment);
      column += columnStep;
      source += sourceStep;
      line += lineStep;
      const place = source * 2 ** LINE_BITS + line + 1;
      const isSame = integers.at(-1) === place && integers.at(-INTEGERS) === generatedLine + 1;
      if (!isSame) integers.push(generatedLine + 1, column + 1, place);
    }
  }
  const head = Buffer.from(JSON.stringify({ sources: sources.map(shorten) }));
  const start = 4 + head.length + ((4 - (head.length % 4)) % 4);
  const bytes = Buffer.alloc(start + integers.length * 4);
  bytes.writeUInt32LE(head.length);
  head.copy(bytes, 4);
  integers.forEach((integer, index) => bytes.writeUInt32LE(integer, start + index * 4));
  return bytes;
}

/** Makes the stacks of all later errors name the source of each frame in a bundled file that has a table. */
export function nameSourcesInStacks(): void {
  Error.prepareStackTrace = (error, frames) =>
    [headOf(error), ...frames.map((frame) => `    at ${describeFrame(frame)}`)].join("\n");
}

const tables = new Map<string, WeakRef<Positions>>();

/** A frame, with the text that V8 gives it, which its type does not declare. */
type Frame = NodeJS.CallSite & { toString(): string };

function describeFrame(frame: Frame): string {
  const text = frame.toString();
  const [file, line, column] = [frame.getFileName(), frame.getLineNumber(), frame.getColumnNumber()];
  if (!file?.startsWith("file:") || line === null || column === null) return text;
  const position = findPosition(file, line, column);
  return position === undefined ? text : text.replace(`${file}:${line}:${column}`, position);
}

/** Finds the source and line of the last position that is not after this one. Undefined without a table. */
function findPosition(file: string, line: number, column: number): string | undefined {
  const table = tables.get(file)?.deref() ?? readTable(file);
  if (table === undefined) return undefined;
  const { integers, sources } = table;
  let [low, high] = [0, integers.length / INTEGERS];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const [itsLine = 0, itsColumn = 0] = integers.subarray(middle * INTEGERS);
    if (itsLine < line || (itsLine === line && itsColumn <= column)) low = middle + 1;
    else high = middle;
  }
  const place = integers[(low - 1) * INTEGERS + 2];
  if (place === undefined) return undefined;
  return `${sources[Math.floor(place / 2 ** LINE_BITS)]}:${place % 2 ** LINE_BITS}`;
}

function readTable(file: string): Positions | undefined {
  try {
    const bytes = readFileSync(`${fileURLToPath(file)}${POSITIONS_SUFFIX}`);
    const headLength = bytes.readUInt32LE();
    const { sources } = JSON.parse(bytes.toString("utf8", 4, 4 + headLength)) as { sources: string[] };
    const start = 4 + headLength + ((4 - (headLength % 4)) % 4);
    const integers = new Uint32Array(bytes.buffer, bytes.byteOffset + start, (bytes.length - start) / 4);
    const table = { sources, integers };
    tables.set(file, new WeakRef(table));
    return table;
  } catch {
    return undefined;
  }
}

function headOf(error: Error): string {
  try {
    return String(error);
  } catch {
    return "Error";
  }
}

/** Path of a source from the root of the repository, or from its package's folder in node_modules. */
function shorten(path: string): string {
  const [, inPackage] = /^.*\/node_modules\/(.*)$/.exec(path) ?? [];
  return inPackage ?? path;
}

/** Decodes the base64 VLQ numbers of one segment. */
function decodeDeltas(segment: string): readonly number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const character of segment) {
    const digit = BASE64.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if ((digit & 32) !== 0) continue;
    numbers.push((value & 1) === 1 ? -(value >>> 1) : value >>> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
