import { playChain } from '../cni/support/chain-scenarios.ts'

/** Pods that the CNI plugins ptp, host-local and podfence-cni start: closed from their first millisecond. */
await playChain('ptp')
