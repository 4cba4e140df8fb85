/**
 * Money in integers: pico-USD for the price of one token, nano-USD for amounts, micro-USD at every edge. A cost is rounded up to a
 * whole micro-USD once, at settlement (`ceilToMicroUsd`), so that sums of costs agree at every edge without rounding again.
 */

const NANO_PER_MICRO = 1000n;
const PICO_PER_NANO = 1000n;

export function microToNano(micro: bigint): bigint {
  return micro * NANO_PER_MICRO;
}

/** Micro-USD of an amount, rounded up: an edge never shows less than what is charged. */
export function nanoToMicro(nano: bigint): bigint {
  return ceilDivide(nano, NANO_PER_MICRO);
}

/** The smallest whole number of micro-USD that covers `nano`, in nano-USD. */
export function ceilToMicroUsd(nano: bigint): bigint {
  return ceilDivide(nano, NANO_PER_MICRO) * NANO_PER_MICRO;
}

export function picoToNanoCeil(pico: bigint): bigint {
  return ceilDivide(pico, PICO_PER_NANO);
}

/** The quotient, rounded up. Only for dividends >= 0. */
function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}
