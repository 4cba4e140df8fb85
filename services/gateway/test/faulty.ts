/** Fault that is thrown once, at the n-th step of the wrapped objects: a call, or a read of a property. */
export class Fault {
  /** Name of the step that threw; undefined if there were fewer steps. */
  thrownAt: string | undefined;
  #stepsLeft: number;
  #isArmed = false;

  constructor(step: number) {
    this.#stepsLeft = step;
  }

  /** Starts to count steps. */
  arm(): void {
    this.#isArmed = true;
  }

  step(name: string): void {
    if (!this.#isArmed || this.thrownAt !== undefined || --this.#stepsLeft > 0) return;
    this.thrownAt = name;
    throw new TypeError(`injected at ${name}`);
  }
}

/** Wraps an object so that each use of it is a step. Values that it returns or resolves with are wrapped too. */
export function faulty<T extends object>(target: T, fault: Fault, name: string): T {
  return new Proxy(target, {
    get(object, key) {
      const path = `${name}.${String(key)}`;
      const value: unknown = Reflect.get(object, key);
      // `await` reads `then` of every object.
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

/** Classes whose methods work on the object itself only, not on a proxy. */
const OPAQUE = [Date, Promise, AbortSignal, Uint8Array];

function wrapped(value: unknown, fault: Fault, path: string): unknown {
  if (typeof value !== "object" || value === null || OPAQUE.some((type) => value instanceof type)) return value;
  return faulty(value, fault, path);
}
