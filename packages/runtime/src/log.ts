import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

/**
 * A logger that writes one JSON object per line to stdout. `redact` gets every line as text, so that no field can carry a secret
 * past it.
 *
 * @param service name of the process, e.g. `auth`
 */
export function createLogger(service: string, redact: (line: string) => string, level = "info"): Logger {
  const destination: DestinationStream = {
    write(line) {
      process.stdout.write(redact(line));
    },
  };
  const options = {
    base: { service },
    level,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, destination);
}
