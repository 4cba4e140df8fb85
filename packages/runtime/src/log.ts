import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

/**
 * One JSON object per line on stdout. Every line passes through `redact` as text, whatever field a secret hid in.
 *
 * @param service which process writes, e.g. `auth`
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
