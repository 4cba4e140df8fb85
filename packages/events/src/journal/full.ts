/** Nothing more can be recorded, because the room is used up or the file system refuses. */
export class JournalFull extends Error {
  override readonly name = "JournalFull";
}

export function asJournalFull(error: unknown): JournalFull {
  return error instanceof JournalFull ? error : new JournalFull("the spool cannot be written", { cause: error });
}
