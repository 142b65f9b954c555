import { closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Processes } from '../../../src/kernel/process.ts'

/** A file system of its own that a test can fill to the brim. */
export interface SmallDisk {
  /** Not a byte and no further file fits afterwards. */
  fill(): void
  free(): void
  remove(): Promise<void>
}

const FILL = 'fill'

/** Puts a file system of 256 kB and 64 files over a directory. */
export async function smallDisk(processes: Processes, directory: string): Promise<SmallDisk> {
  const options = ['-t', 'tmpfs', '-o', 'size=256k,nr_inodes=64']
  const mounted = await processes.run('mount', [...options, 'tmpfs', directory])
  if (mounted.code !== 0) throw new Error(mounted.stderr)
  return {
    fill() {
      const file = openSync(join(directory, FILL), 'a')
      for (const size of [4096, 1]) while (fits(() => writeSync(file, Buffer.alloc(size))));
      closeSync(file)
      let number = 0
      while (fits(() => closeSync(openSync(join(directory, `${FILL}${number++}`), 'a'))));
    },
    free() {
      for (const name of readdirSync(directory)) if (name.startsWith(FILL)) rmSync(join(directory, name))
    },
    async remove() {
      await processes.run('umount', ['-l', directory])
    },
  }
}

function fits(write: () => unknown): boolean {
  try {
    write()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}
