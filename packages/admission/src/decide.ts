import { requestCost, reservation, type TokenPrice } from "./price.ts";

/** A budget as it stands. Nano-USD. */
export interface Budget {
  readonly limitNano: bigint;
  /** Settled within the window. More than the limit after an overrun. */
  readonly spentNano: bigint;
  /** Held for requests that are under way. */
  readonly reservedNano: bigint;
}

/** What a request may use at most. */
export interface BudgetRequest {
  readonly price: TokenPrice;
  readonly inputTokensMax: bigint;
  /** Over all choices; 0 if the request yields no output tokens. */
  readonly outputTokensMax: bigint;
  /** How many choices share the output bound; >= 1. */
  readonly choices: bigint;
}

export type Decision<B extends Budget> =
  | {
      readonly outcome: "admit";
      /** As asked for, or lowered to what is affordable: then a multiple of the choices. */
      readonly outputTokensMax: bigint;
      /** To reserve on every budget. Nano-USD. */
      readonly reserveNano: bigint;
    }
  | {
      readonly outcome: "deny";
      /** The tightest one; the first of them if several are. */
      readonly budget: B;
      /** What it has left, >= 0. Nano-USD. */
      readonly leftNano: bigint;
      /** The least that the request could be admitted for. Nano-USD. */
      readonly neededNano: bigint;
    };

const NANO_PER_MICRO = 1_000n;
const PICO_PER_MICRO = 1_000_000n;

/**
 * Whether a request fits into every budget that applies, and with how many output tokens. Reserving `reserveNano` on each of
 * them leaves spent + reserved within the limit of each. It is refused only if not even one output token for each choice
 * fits (without output tokens: if the input does not). A free request is never refused, because it takes nothing.
 */
export function decide<B extends Budget>(request: BudgetRequest, budgets: readonly B[]): Decision<B> {
  const { price, inputTokensMax, outputTokensMax, choices } = request;
  const asked = reservation(price, inputTokensMax, outputTokensMax);
  const tightest = tightestOf(budgets);
  if (tightest === undefined || asked <= tightest.leftNano) {
    return { outcome: "admit", outputTokensMax, reserveNano: asked };
  }
  const affordable = affordableOutput(request, tightest.leftNano);
  const lowered = affordable - (affordable % choices);
  if (lowered > 0n) {
    return { outcome: "admit", outputTokensMax: lowered, reserveNano: reservation(price, inputTokensMax, lowered) };
  }
  const leastOutput = outputTokensMax < choices ? outputTokensMax : choices;
  return { outcome: "deny", ...tightest, neededNano: requestCost(price, inputTokensMax, leastOutput) };
}

function tightestOf<B extends Budget>(budgets: readonly B[]): { budget: B; leftNano: bigint } | undefined {
  return budgets
    .map((budget) => ({ budget, leftNano: left(budget) }))
    .reduce<{ budget: B; leftNano: bigint } | undefined>(
      (tightest, each) => (tightest === undefined || each.leftNano < tightest.leftNano ? each : tightest),
      undefined,
    );
}

function left({ limitNano, spentNano, reservedNano }: Budget): bigint {
  const nano = limitNano - spentNano - reservedNano;
  return nano > 0n ? nano : 0n;
}

/**
 * The most output tokens whose reservation fits into `leftNano`, given that those asked for do not. A reservation is a whole
 * number of micro-USD, so a fraction of one that is left buys nothing.
 */
function affordableOutput({ price, inputTokensMax }: BudgetRequest, leftNano: bigint): bigint {
  const leftPico = (leftNano / NANO_PER_MICRO) * PICO_PER_MICRO - price.inputPicoUsd * inputTokensMax;
  return leftPico < 0n || price.outputPicoUsd === 0n ? 0n : leftPico / price.outputPicoUsd;
}
