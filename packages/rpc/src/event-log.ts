/** Writes an event, with its fields if there are any. */
interface LogEvent {
  (message: string): void;
  (fields: object, message: string): void;
}

/** Logger of the events of a connection or verifier. A pino logger and `console` both fit. */
export interface EventLog {
  readonly debug: LogEvent;
  readonly info: LogEvent;
  readonly warn: LogEvent;
  readonly error: LogEvent;
}
