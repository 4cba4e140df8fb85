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

/** Encodes data, of any number of lines, as an event. */
export function withData(data: string, name?: string): Buffer {
  const lines = data.split("\n").map((line) => `data: ${line}`);
  return Buffer.from(`${name === undefined ? "" : `event: ${name}\n`}${lines.join("\n")}\n\n`);
}
