import { setTimeout as pause } from 'node:timers/promises'
import type { KeyChange } from '../../../src/source/event.ts'
import { ROOT } from '../../../src/source/v1-tree.ts'
import type { Post } from './post.ts'

export interface Churn {
  /** Resolves with the number of changes that were written. */
  stop(): Promise<number>
}

const PAUSE_MS = 15
const ELSEWHERE = 300
const LOCAL = 20
const PROFILES = 10
const POLICIES = 10

/**
 * Changes that never end, of every kind, around a post's own objects: members of the friend's set and of others,
 * local endpoints, rules, and policies that the server's packets pass through and that decide nothing for them.
 */
export function startChurn(post: Post): Churn {
  const name = post.node.name
  let over = false
  let count = 0
  const run = async () => {
    await post.commit([{ key: `${ROOT}policy/tier/${name}-churn/metadata`, value: '{"order":5}' }])
    while (!over) {
      const changes = Array.from({ length: 1 + random(4) }, () => change(name))
      // One transaction takes each key once.
      await post.commit([...new Map(changes.map(each => [each.key, each])).values()])
      count += changes.length
      await pause(PAUSE_MS)
    }
  }
  const running = run()
  return {
    async stop() {
      over = true
      await running
      return count
    },
  }
}

/** Objects come and go alike, so that chains and sets are made and removed all the time. */
function change(name: string): KeyChange {
  const profile = `${name}-churn${random(PROFILES)}`
  switch (random(5)) {
    case 0: {
      const number = random(ELSEWHERE)
      const id = random(2) === 0 ? `${name}-friend` : profile
      return maybe(`host/elsewhere/workload/lab/${name}-w${number}`, endpoint(id, 1000 + number))
    }
    case 1: {
      const number = random(LOCAL)
      return maybe(`host/${name}/workload/lab/l${number}`, endpoint(profile, number))
    }
    case 2:
      return maybe(`policy/profile/${profile}/tags`, [profile])
    case 3:
      return maybe(`policy/profile/${profile}/rules`, {
        inbound_rules: [
          {
            action: 'allow',
            protocol: 'tcp',
            src_tag: `${name}-churn${random(PROFILES)}`,
            dst_ports: [random(9000)],
          },
        ],
        outbound_rules: [{ action: 'allow' }],
      })
    default:
      return maybe(`policy/tier/${name}-churn/policy/p${random(POLICIES)}`, {
        selector: `post == '${name}'`,
        order: random(100),
        inbound_rules: [{ action: 'deny', src_net: `10.77.${random(200)}.0/24` }, { action: 'next-tier' }],
        outbound_rules: [{ action: 'next-tier' }],
      })
  }
}

function endpoint(profile: string, number: number): object {
  const byte = number % 250
  return {
    state: 'active',
    name: `cali-l${number}`,
    profile_ids: [profile],
    ipv4_nets: [`10.7${number < 1000 ? 8 : 9}.${Math.floor(number / 250)}.${byte}/32`],
    ipv6_nets: [`fd7${number < 1000 ? 8 : 9}::${number.toString(16)}/128`],
  }
}

function maybe(path: string, value: unknown): KeyChange {
  const key = `${ROOT}${path}${path.startsWith('host/') ? '/endpoint/eth0' : ''}`
  return { key, value: random(3) === 0 ? null : JSON.stringify(value) }
}

function random(below: number): number {
  return Math.floor(Math.random() * below)
}
