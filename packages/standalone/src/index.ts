export { CHECKOUT, nodeHome } from "./home.ts";
export { type NodeOptions, type Output, runNode } from "./run-node.ts";
export { readSaved, removeSaved, type SavedFile, writeSaved } from "./saved-files.ts";
