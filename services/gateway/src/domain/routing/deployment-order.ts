/**
 * Orders the deployments of a model for one request: drawn one after the other without being put back, each with a chance in proportion to
 * its weight. So the first places share the requests by weight, and the requests of a deployment that is down go to the others by their
 * weights.
 *
 * @param random returns a number from 0, inclusive, to 1, exclusive
 */
export function weightedOrder<T extends { readonly weight: number }>(
  deployments: readonly T[],
  random: () => number,
): readonly T[] {
  if (deployments.length < 2) return deployments;
  // Of exponentially distributed times with the weights as rates, each is the smallest with a probability in proportion to its weight.
  return deployments
    .map((deployment) => ({ deployment, time: -Math.log(1 - random()) / deployment.weight }))
    .toSorted((left, right) => left.time - right.time)
    .map(({ deployment }) => deployment);
}
