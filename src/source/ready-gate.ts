import type { SourceEvent } from './event.ts'
import { isReady, READY_KEY } from './v1-tree.ts'

/** What the gate knows. `open` false: nothing passes, the last good state stands, and `reason` says why. */
export interface ReadyState {
  readonly open: boolean
  readonly reason: string
}

export interface ReadyStep {
  readonly state: ReadyState
  /** What goes on to the model; null when held back. */
  readonly event: SourceEvent | null
  /** Set when the source must list again: only a whole snapshot opens the gate. The reason. */
  readonly relist: string | null
}

export const UNREADY: ReadyState = { open: false, reason: 'no complete list from the store yet' }

/**
 * One step of the stage between a store with a Ready key (etcd) and the model. Events pass while the key is exactly `true`. A
 * wiped store lists itself as perfectly complete, so without the key not even a snapshot passes. Sources without such a
 * key (files, Kubernetes) do without this stage.
 */
export function passWhenReady(state: ReadyState, event: SourceEvent): ReadyStep {
  switch (event.kind) {
    case 'connection':
      return { state, event, relist: null }
    case 'snapshot': {
      const reason = unready(event.entries.get(READY_KEY) ?? null)
      return reason === null
        ? { state: { open: true, reason: 'ready' }, event, relist: null }
        : { state: { open: false, reason }, event: null, relist: null }
    }
    case 'changes': {
      const marks = event.changes.filter(({ key }) => key === READY_KEY).map(({ value }) => unready(value))
      const last = marks.at(-1)
      // When Ready was away in between, which of these changes were meant cannot be told: the next snapshot says it.
      if (state.open && marks.every(reason => reason === null)) return { state, event, relist: null }
      if (last === undefined) return { state, event: null, relist: null }
      if (last !== null) return { state: { open: false, reason: last }, event: null, relist: null }
      const reason = `${READY_KEY} is back`
      return { state: { open: false, reason: `${reason}; listing again` }, event: null, relist: reason }
    }
  }
}

function unready(value: string | null): string | null {
  if (isReady(value)) return null
  if (value === null) return `${READY_KEY} is missing`
  return `${READY_KEY} is ${JSON.stringify(value.slice(0, 40))}, not true`
}
