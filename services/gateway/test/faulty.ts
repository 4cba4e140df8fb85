/** Throws once, at the n-th step of what it wraps: a call, a read of a member, or a turn of an iteration. */
export class Fault {
  /** The step that threw; undefined if there were fewer. */
  thrownAt: string | undefined;
  #left: number;
  #isArmed = false;

  constructor(step: number) {
    this.#left = step;
  }

  /** Steps count from now on. */
  arm(): void {
    this.#isArmed = true;
  }

  step(name: string): void {
    if (!this.#isArmed || this.thrownAt !== undefined || --this.#left > 0) return;
    this.thrownAt = name;
    throw new TypeError(`injected at ${name}`);
  }
}

/** The same object, every use of which is a step. What it returns or resolves with is wrapped too. */
export function faulty<T extends object>(target: T, fault: Fault, name: string): T {
  return new Proxy(target, {
    get(object, key) {
      const path = `${name}.${String(key)}`;
      const value: unknown = Reflect.get(object, key);
      // Awaiting an object asks it whether it is a promise.
      if (key === "then") return value;
      if (typeof value !== "function") {
        fault.step(path);
        return wrapped(value, fault, path);
      }
      return (...args: unknown[]) => {
        fault.step(`${path}()`);
        const result: unknown = Reflect.apply(value, object, args);
        return result instanceof Promise
          ? result.then((settled: unknown) => wrapped(settled, fault, `${path}()`))
          : wrapped(result, fault, `${path}()`);
      };
    },
    apply(object, _self, args: unknown[]) {
      fault.step(`${name}()`);
      return Reflect.apply(object as (...args: unknown[]) => unknown, undefined, args);
    },
  });
}

/** Bytes, dates, promises and signals work on the object itself only. */
const OPAQUE = [Date, Promise, AbortSignal, Uint8Array];

function wrapped(value: unknown, fault: Fault, path: string): unknown {
  if (typeof value !== "object" || value === null || OPAQUE.some((each) => value instanceof each)) return value;
  return faulty(value, fault, path);
}
