export { cloneDatabase, type TestDatabase } from "./clone-database.ts";
export { eventually } from "./eventually.ts";
export { startNats, type TestNats } from "./start-nats.ts";
