import { playChain } from '../cni/support/chain-scenarios.ts'

/** Pods on the bridge that the CNI plugin bridge makes: closed from their first millisecond. */
await playChain('bridge')
