/** Postgres and NATS as a node runs them, for tests and benchmarks. */
export { describeFailure, StartFailure } from "../start-failure.ts";
export { loadSecrets, planOf } from "../secrets.ts";
export { runCommand, startCommand } from "../process/command.ts";
export { type ProcessSpec, supervise, type SupervisedProcess as Supervised } from "../process/supervise.ts";
export { waitUntil } from "../process/wait.ts";
export { natsBinary } from "./nats-binary.ts";
export { natsUrl, prepareNats } from "./nats.ts";
export { natsUserConfig } from "./nats-users.ts";
export { preparePostgres, superuserUrl } from "./postgres.ts";
