/**
 * Orders the deployments of a model for one request: drawn one after the other without being put back, each with a chance in
 * proportion to its weight. So the first ones share the requests by their weights, and those of one that is down go to the others
 * by theirs.
 *
 * @param random returns a number from 0, inclusive, to 1, exclusive
 */
export function weightedOrder<T extends { readonly weight: number }>(
  deployments: readonly T[],
  random: () => number,
): readonly T[] {
  if (deployments.length < 2) return deployments;
  // The least of exponentially distributed times, each with its weight as rate, is each one's in proportion to its weight.
  return deployments
    .map((deployment) => ({ deployment, time: -Math.log(1 - random()) / deployment.weight }))
    .toSorted((left, right) => left.time - right.time)
    .map(({ deployment }) => deployment);
}
