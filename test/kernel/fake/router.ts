import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import type { Backend } from '../../../src/kernel/fake/tool.ts'
import { parseSave } from '../../../src/kernel/iptables-parser/save.ts'
import { must, save } from './real-tools.ts'

/** A client and a server in namespaces of their own, routed through the sandbox's: `toc` and `tos` lead to them. */

export interface Sent {
  readonly src: string
  readonly sport: number
  readonly dst: string
  readonly dport: number
  /** Of the IP packet; tells the packets apart. */
  readonly length: number
}

/** Sent last and let through always: once it arrived, so did all before it. */
export const FENCE: Sent = { src: '10.1.0.2', sport: 2999, dst: '10.2.0.2', dport: 999, length: 1000 }
export const CLIENT_MAC = '02:00:00:00:00:01'

const SIDES = [
  { name: 'client', net: '10.1', link: 'toc', near: '02:00:00:00:01:01', far: CLIENT_MAC },
  { name: 'server', net: '10.2', link: 'tos', near: '02:00:00:00:01:02', far: '02:00:00:00:00:02' },
]

/** Neighbours are fixed, and the server knows no way back: every packet stays the first of its flow. */
export function buildRouter(): void {
  for (const { name, net, link, near, far } of SIDES) {
    const within = (...words: string[]): void => must('ip', '-n', name, ...words)
    must('ip', 'netns', 'add', name)
    must('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    must('ip', 'link', 'set', link, 'address', near, 'up')
    must('ip', 'addr', 'add', `${net}.0.1/16`, 'dev', link)
    within('link', 'set', 'eth0', 'address', far, 'up')
    within('neigh', 'add', `${net}.0.1`, 'lladdr', near, 'dev', 'eth0')
    for (const host of [`${net}.0.2`, `${net}.0.3`]) {
      within('addr', 'add', `${host}/16`, 'dev', 'eth0')
      must('ip', 'neigh', 'add', host, 'lladdr', far, 'dev', link)
    }
  }
  must('ip', '-n', 'client', 'route', 'add', 'default', 'via', '10.1.0.1')
  must('ip', '-n', 'client', 'addr', 'add', '10.9.9.9/32', 'dev', 'eth0')
  // Whether a source is sound is for the rules to say.
  for (const name of ['all', 'default', ...SIDES.map(side => side.link)])
    must('sysctl', '-qw', `net.ipv4.conf.${name}.rp_filter=0`)
  must('sysctl', '-qw', 'net.ipv4.ip_forward=1')
}

const PROGRAM = `
const { createSocket } = require('node:dgram')
require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  const { src, sport, dst, dport, length } = JSON.parse(line)
  const socket = createSocket('udp4')
  socket.bind(sport, src, () => socket.send(Buffer.alloc(length - 28), dport, dst, error => {
    socket.close(() => console.log(error ? String(error) : 'sent'))
  }))
})`

export interface Sender {
  /** Sends UDP packets and then the fence. Resolves with the lengths of those that left for the server. */
  readonly send: (packets: readonly Sent[], backend: Backend) => Promise<number[]>
  readonly stop: () => void
}

/** One CPU, so that packets stay in order. */
export function startSender(): Sender {
  const within = ['netns', 'exec', 'client', 'taskset', '-c', '0', process.execPath, '-e', PROGRAM]
  const child = spawn('ip', within, { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    stop: () => void child.kill(),
    send: async (packets, backend) => {
      for (const packet of [...packets, FENCE]) {
        child.stdin.write(`${JSON.stringify(packet)}\n`)
        const { value } = await answers.next()
        if (value !== 'sent') throw new Error(`${JSON.stringify(packet)}: ${value}`)
      }
      for (let tries = 0; tries < 300; tries++) {
        const lengths = arrived(backend)
        if (lengths.includes(FENCE.length)) return lengths
        await pause(10)
      }
      throw new Error('the fence never came through')
    },
  }
}

/** The mangle table that counts by length what leaves for the server. */
export function countingTable(packets: readonly Sent[]): string {
  const count = ({ length }: Sent): string => `-A POSTROUTING -o tos -p udp -m length --length ${length}`
  return `*mangle\n-F\n${[...packets, FENCE].map(count).join('\n')}\nCOMMIT\n`
}

function arrived(backend: Backend): number[] {
  const { rules } = parseSave(save(4, backend, '-c', '-t', 'mangle')).tables[0]!
  const counted = rules.filter(rule => rule.counters!.packets > 0n)
  return counted.map(rule => Number(rule.words[rule.words.indexOf('--length') + 1]))
}
