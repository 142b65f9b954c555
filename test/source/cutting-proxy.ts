import { connect, createServer, type Socket } from 'node:net'
import type { Scope } from '../etcd.ts'

/** A TCP proxy to a port of the same address that can refuse everything, or carry only so many bytes to each client. */
export async function cuttingProxy(t: Scope, target: number, address = '127.0.0.1') {
  const sockets = new Set<Socket>()
  let refusing = false
  let limit: () => number = () => Number.POSITIVE_INFINITY
  const state = { carried: 0 }
  const server = createServer(client => {
    if (refusing) {
      client.destroy()
      return
    }
    const upstream = connect(target, address)
    let left = limit()
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', end)
      socket.on('close', () => {
        sockets.delete(socket)
        end()
      })
    }
    client.on('data', chunk => upstream.write(chunk))
    upstream.on('data', (chunk: Buffer) => {
      state.carried += chunk.length
      left -= chunk.length
      if (left <= 0) end()
      else client.write(chunk)
    })
  })
  await new Promise<void>(resolve => server.listen(0, address, resolve))
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  return {
    port: (server.address() as { port: number }).port,
    get carried() {
      return state.carried
    },
    refuse() {
      refusing = true
      for (const socket of sockets) socket.destroy()
    },
    accept(bytes: () => number = () => Number.POSITIVE_INFINITY) {
      refusing = false
      limit = bytes
    },
  }
}
