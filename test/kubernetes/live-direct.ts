// Runs alone: an API server, an etcd and two agents keep both cores busy, and changes must be met within a second.
import { playLiveChanges } from './support/live-changes.ts'

await playLiveChanges('direct')
