/** Thrown when a record cannot be written: the spool has reached its size, or the file system refuses. */
export class SpoolFull extends Error {
  override readonly name = "SpoolFull";
}

export function asSpoolFull(error: unknown): SpoolFull {
  return error instanceof SpoolFull ? error : new SpoolFull("the spool cannot be written", { cause: error });
}
