const MAX_SUGGESTIONS = 3;

/** Names that contain `text` or differ from it by a few typos, closest first, at most 3. */
export function suggest(text: string, names: readonly string[]): readonly string[] {
  const wanted = text.toLowerCase();
  const maxDistance = Math.max(1, Math.floor(wanted.length / 3));
  return [...new Set(names)]
    .map((name) => ({ name, distance: distanceOf(wanted, name.toLowerCase()) }))
    .filter(({ distance }) => distance <= maxDistance)
    .toSorted((left, right) => left.distance - right.distance)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ name }) => name);
}

/** Edit distance; 0.5 if `name` contains `wanted`, so that it ranks before a name with a typo of one letter. */
function distanceOf(wanted: string, name: string): number {
  if (wanted.length >= 3 && name.includes(wanted)) return 0.5;
  return editDistance(wanted, name);
}

/** Edit distance in letters added, left out, changed, or swapped with a neighbour (optimal string alignment). */
function editDistance(source: string, target: string): number {
  let beforeLast: readonly number[] = [];
  let last = Array.from({ length: target.length + 1 }, (_, index) => index);
  for (let row = 1; row <= source.length; row++) {
    const current = [row];
    for (let column = 1; column <= target.length; column++) {
      const isSame = source[row - 1] === target[column - 1];
      const changed = (last[column - 1] ?? 0) + (isSame ? 0 : 1);
      const isSwapped = source[row - 1] === target[column - 2] && source[row - 2] === target[column - 1];
      const swapped = isSwapped ? (beforeLast[column - 2] ?? 0) + 1 : Infinity;
      current.push(Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, changed, swapped));
    }
    [beforeLast, last] = [last, current];
  }
  return last[target.length] ?? 0;
}
