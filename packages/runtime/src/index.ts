export {
  ConfigurationError,
  type Environment,
  readEnvironment,
  CALL_DRAIN_SECS,
  readServerConfig,
  type ServerConfig,
} from "./environment.ts";
export { type Component, runProcess, type RunningProcess, STOP_TIMEOUT_MS } from "./lifecycle.ts";
export { createLogger, type Logger, logLine } from "./log.ts";
export { AGGREGATOR_NODE_OPTIONS, USAGE_NODE_OPTIONS } from "./node-options.ts";
export { currentOrigin, onBehalfOf, type Origin } from "./origin.ts";
export { currentRequestId, withRequestId } from "./request-id.ts";
export { type PeriodicJob, runPeriodically } from "./periodic-job.ts";
export { MAX_SECRET_BYTES, readSecretFile, type SecretFile, SecretFault, SecretFiles } from "./secret-files.ts";
export { AddressRanges } from "./addresses/address-ranges.ts";
export { readTrustedProxies, TrustedProxies } from "./addresses/trusted-proxies.ts";
export { constant, currentOf, type Watched, type WatchedSecret } from "./watched.ts";
export { Dependencies, type Dependency } from "./operations/dependencies.ts";
export { counter, gauge, histogram, readMetrics } from "./operations/metrics.ts";
export { startOperationsServer } from "./operations/operations-server.ts";
export { type Condition, Readiness } from "./operations/readiness.ts";
export { superviseWorkers, type SupervisorOptions } from "./workers/supervise-workers.ts";
export { endWithSupervisor } from "./workers/supervisor-channel.ts";
