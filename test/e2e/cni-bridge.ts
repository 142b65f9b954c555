import { playChain } from '../cni/support/chain-scenarios.ts'

/** Likewise on the bridge that the CNI plugin bridge makes. */
await playChain('bridge')
