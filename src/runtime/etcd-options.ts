import { readFile } from 'node:fs/promises'
import { PodfenceError } from '../errors.ts'
import type { EtcdOptions } from '../source/etcd-settings.ts'
import type { Settings } from './setting-table.ts'

/** How to open etcd, from the settings. Reads the password's file; throws CONFIG_INVALID when that fails. */
export async function etcdOptions(settings: Settings): Promise<EtcdOptions> {
  const password = settings.etcdPassword ?? (await passwordFrom(settings.etcdPasswordFile))
  return {
    endpoints: settings.etcdEndpoints,
    caFile: settings.etcdCa ?? undefined,
    certFile: settings.etcdCert ?? undefined,
    keyFile: settings.etcdKey ?? undefined,
    username: settings.etcdUser ?? undefined,
    password: password ?? undefined,
  }
}

async function passwordFrom(file: string | null): Promise<string | null> {
  if (file === null) return null
  try {
    // An editor's last line break is no part of the password.
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  } catch (cause) {
    const message = `etcdPasswordFile ${file} cannot be read (${(cause as Error).message}).`
    throw new PodfenceError('CONFIG_INVALID', message, { cause })
  }
}
