/** packages/runtime in a bundle: a library has no port at which anybody could read metrics, so it counts nothing. */
export * from "../../runtime/src/index.ts";
const unread = { inc() {}, observe() {}, series: () => unread };
export const counter = () => unread;
export const histogram = () => unread;
export const gauge = (): void => {};
