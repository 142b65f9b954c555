import type { Host } from './host.ts'

/** What came of one sender to a pod; `first` in seconds since the start of the pod's kernel. */
export interface Heard {
  readonly packets: number
  readonly first: number
  readonly lost: number
}

/** What the program `flow` of a pod tells. */
export interface Counts {
  readonly sent: number
  readonly heard: Readonly<Record<string, Heard>>
}

/** The counts of every pod whose `flow` writes to `directory` as POD.json; none while there is no such directory. */
export async function countsOf(host: Host, directory: string): Promise<Readonly<Record<string, Counts>>> {
  const tell = `[ ! -e "$file" ] || printf '"%s":%s\\n' "$(basename "$file" .json)" "$(cat "$file")"`
  const said = await host.run(`for file in ${directory}/*.json; do ${tell}; done`)
  return JSON.parse(`{${said.trim().replaceAll('\n', ',')}}`)
}
