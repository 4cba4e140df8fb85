/** Replacement of packages/runtime in a bundle, without metrics: a library has no port at which they could be read. */
export * from "../../runtime/src/index.ts";
const unread = { inc() {}, observe() {}, series: () => unread };
export const counter = () => unread;
export const histogram = () => unread;
export const gauge = (): void => {};
