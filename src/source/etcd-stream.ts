import type {
  Etcd3,
  IDuplexStream,
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  IWatchCreateRequest,
} from 'etcd3'
import { responseOf } from './etcd-wire.ts'
import type { WatchResponse } from './store.ts'

/** The two streaming calls of etcd, each brought to an end that is told. */

/**
 * Watches until `signal` aborts or etcd cancels; resolves with the reason then. Rejects when the connection breaks, when
 * the watch does not stand within `dialTimeoutMs`, and with whatever `onResponse` throws.
 */
export async function streamWatch(
  client: Etcd3,
  request: IWatchCreateRequest,
  onResponse: (response: WatchResponse) => void,
  signal: AbortSignal,
  dialTimeoutMs: number,
): Promise<string> {
  const stream = await client.watchClient.watch({ interceptors: [requireLeader as never] })
  return await new Promise<string>((resolve, reject) => {
    let ended = false
    const end = (settle: () => void) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      // The error that follows a cancel finds its listener still there, and nothing left to do.
      stream.cancel()
      settle()
    }
    const stop = () => end(() => resolve('stopped'))
    const timer = setTimeout(
      () => end(() => reject(new Error(`no answer to a watch within ${dialTimeoutMs} ms`))),
      dialTimeoutMs,
    )
    stream.on('error', error => end(() => reject(error)))
    stream.on('end', () => end(() => reject(new Error('the server ended the watch'))))
    stream.on('data', response => {
      if (ended) return
      clearTimeout(timer)
      if (response.canceled) {
        const compacted =
          response.compact_revision !== '0' ? `compacted up to ${response.compact_revision}` : ''
        return end(() => resolve(response.cancel_reason || compacted || 'cancelled by the server'))
      }
      try {
        onResponse(responseOf(response))
      } catch (error) {
        end(() => reject(error))
      }
    })
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    // fragment stays off: etcd then never splits what one transaction did.
    stream.write({ create_request: { ...request, progress_notify: true, fragment: false } })
  })
}

/** Keeps a lease once; resolves with false when it has ended. */
export async function keepLeaseOnce(client: Etcd3, id: string, timeoutMs: number): Promise<boolean> {
  const stream: IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse> =
    await client.leaseClient.leaseKeepAlive()
  try {
    return await new Promise<boolean>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer to a lease within ${timeoutMs} ms`)),
        timeoutMs,
      )
      stream.on('data', ({ TTL }) => {
        clearTimeout(timer)
        resolve(Number(TTL) > 0)
      })
      stream.on('error', error => {
        clearTimeout(timer)
        reject(error)
      })
      stream.write({ ID: id })
    })
  } finally {
    stream.cancel()
  }
}

interface StartableCall {
  start(metadata: { set(name: string, value: string): void }, listener: unknown): void
}

/** Without it a member that has lost its cluster goes on as a watch that is merely silent. */
function requireLeader(options: unknown, nextCall: (options: unknown) => StartableCall): StartableCall {
  const call = nextCall(options)
  const start = call.start.bind(call)
  call.start = (metadata, listener) => {
    metadata.set('hasleader', 'true')
    start(metadata, listener)
  }
  return call
}
