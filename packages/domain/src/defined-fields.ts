/** `T` with every field optional and none of them undefined. */
export type DefinedFields<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** A copy without the fields that are undefined. */
export function definedFields<T extends object>(fields: T): DefinedFields<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as DefinedFields<T>;
}
