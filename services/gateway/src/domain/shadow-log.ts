import type { Guard } from "./guard.ts";
import type { ShadowDenial } from "./ports.ts";

/** What policies in shadow mode would have refused in one request: each rule of each binding once. */
export class ShadowLog {
  readonly #guard: Guard;
  readonly #denials = new Map<string, ShadowDenial>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  get denials(): readonly ShadowDenial[] {
    return [...this.#denials.values()];
  }

  add({ policyId, bindingId, rule }: ShadowDenial): void {
    this.#denials.set(`${bindingId} ${rule}`, { policyId, bindingId, rule });
  }

  /** A rule of a guardrail. */
  note(bindingId: string, rule: string): void {
    const { policyId } = this.#guard.sourceOf(bindingId);
    this.add({ policyId, bindingId, rule });
  }
}
