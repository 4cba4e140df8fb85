const NO_PLACES: ReadonlySet<string> = new Set();

/** Counts the members of a value, and of all values in it but those at opaque places, which are judged as a whole. */
export function countMembers(value: unknown, opaque = NO_PLACES, place = ""): number {
  if (typeof value !== "object" || value === null || opaque.has(place)) return 0;
  if (Array.isArray(value)) {
    return value.reduce<number>((sum, item) => sum + countMembers(item, opaque, `${place}[]`), 0);
  }
  const members = Object.entries(value);
  const within = (name: string): string => (place === "" ? name : `${place}.${name}`);
  return members.reduce((sum, [name, member]) => sum + countMembers(member, opaque, within(name)), members.length);
}

/** True if no object of a JSON text can have two members of one name. @param value the text, parsed */
export function hasNoRepeatedMembers(json: string, value: unknown): boolean {
  return countPossibleNames(json) === countMembers(value);
}

/** Counts the names of a JSON text, and what looks like one within its strings. */
function countPossibleNames(json: string): number {
  let names = 0;
  for (let colon = json.indexOf(":"); colon !== -1; colon = json.indexOf(":", colon + 1)) {
    let before = colon - 1;
    while (isBlank(json.charCodeAt(before))) before--;
    if (json.charCodeAt(before) === QUOTE) names++;
  }
  return names;
}

const QUOTE = 0x22;
const BLANK = 0x20;

/** True for the blanks of JSON, which are the least characters that it has outside of strings. */
function isBlank(unit: number): boolean {
  return unit <= BLANK;
}

/** Encodes data, of any number of lines, as an event. */
export function withData(data: string, name?: string): Buffer {
  const lines = data.split("\n").map((line) => `data: ${line}`);
  return Buffer.from(`${name === undefined ? "" : `event: ${name}\n`}${lines.join("\n")}\n\n`);
}
