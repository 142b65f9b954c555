import { readdirSync, readFileSync } from 'node:fs'

/** What /proc says of processes; a process that has ended counts as nothing. */

export interface ProcessTree {
  readonly pid: number
  readonly name: string
  readonly children: readonly ProcessTree[]
}

export function processTree(pid: number): ProcessTree {
  const pids = readdirSync(`/proc/${pid}/task`).flatMap(task =>
    read(`/proc/${pid}/task/${task}/children`).trim().split(' ').filter(Boolean).map(Number),
  )
  return { pid, name: read(`/proc/${pid}/comm`).trim(), children: pids.map(processTree) }
}

export function everyProcess(tree: ProcessTree): ProcessTree[] {
  return [tree, ...tree.children.flatMap(everyProcess)]
}

/** CPU time of one process with all its living threads, in milliseconds. */
export function cpuMs(pid: number): number {
  let nanoseconds = 0
  for (const task of list(`/proc/${pid}/task`))
    nanoseconds += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0])
  return nanoseconds / 1e6
}

/** A clock tick of /proc/PID/stat; it is 10 ms wherever Linux runs today. */
const TICK_MS = 10

/** CPU time of a process and its living children by name, and under `ended` of their children that have ended. */
export function cpuByName(pid: number): Map<string, number> {
  const cpu = new Map<string, number>()
  const add = (name: string, ms: number) => cpu.set(name, (cpu.get(name) ?? 0) + ms)
  for (const one of everyProcess(processTree(pid))) {
    const fields = read(`/proc/${one.pid}/stat`)
      .replace(/^.*\) /, '')
      .split(' ')
    add('ended', (Number(fields[13]) + Number(fields[14])) * TICK_MS)
    add(shortName(one.name), cpuMs(one.pid))
  }
  return cpu
}

/** All of that together. */
export function treeCpuMs(pid: number): number {
  return [...cpuByName(pid).values()].reduce((sum, ms) => sum + ms, 0)
}

/** Node names its main thread itself. */
export function shortName(name: string): string {
  return /^(node|MainThread)/.test(name) ? 'node' : name
}

/** Resident memory in MB; `peak`: the most it ever was. */
export function rssMb(pid: number, peak = false): number {
  const line = new RegExp(`^${peak ? 'VmHWM' : 'VmRSS'}:\\s+(\\d+) kB`, 'm').exec(read(`/proc/${pid}/status`))
  return Number(line?.[1] ?? 0) / 1024
}

/** Resident memory of a process and its children by name, in MB. */
export function rssByName(pid: number): Map<string, number> {
  const memory = new Map<string, number>()
  for (const { pid: one, name } of everyProcess(processTree(pid)))
    memory.set(shortName(name), (memory.get(shortName(name)) ?? 0) + rssMb(one))
  return memory
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
