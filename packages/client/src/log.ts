/** Writes an event, with its fields if there are any. */
interface LogEvent {
  (message: string): void;
  (fields: object, message: string): void;
}

/** Logger for events of this package, e.g. that of pino, or `console`. */
export interface Log {
  readonly debug: LogEvent;
  readonly info: LogEvent;
  readonly warn: LogEvent;
  readonly error: LogEvent;
}
