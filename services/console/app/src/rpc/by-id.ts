const NONE: readonly never[] = [];
const maps = new WeakMap<object, ReadonlyMap<string, unknown>>();

/** Resources of a list by id. The map is made once per list, because every row of a table asks for it. */
export function byId<Thing extends { readonly id: string }>(list: readonly Thing[] = NONE): ReadonlyMap<string, Thing> {
  const made = maps.get(list) ?? new Map(list.map((thing) => [thing.id, thing]));
  maps.set(list, made);
  return made as ReadonlyMap<string, Thing>;
}
