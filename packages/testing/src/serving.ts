/** Health of a process that can do its work: ready, and with all its dependencies. */
export const SERVING = { readiness: { isReady: true }, dependencies: { areReachable: async () => true } } as const;
