export { CHECKOUT, nodeHome } from "./home.ts";
export { reservePorts, type ReservedPorts } from "./ports.ts";
export { type NodeOptions, runNode } from "./run-node.ts";
export type { Output } from "./progress.ts";
export { readSaved, removeSaved, type SavedFile, writeSaved } from "./saved-files.ts";
export { sourcePaths } from "./service-bundle.ts";
