import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The version in package.json, which lies two folders above both src/ and dist/. */
export function podfenceVersion(): string {
  const file = fileURLToPath(new URL('../../package.json', import.meta.url))
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
