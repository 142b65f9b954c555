import { readFileSync } from 'node:fs'
import t from 'tap'
import { metricsMarkdown } from '../../src/runtime/metric-table.ts'
import { settingsMarkdown } from '../../src/runtime/settings-text.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
}

t.test('the README has the tables that the program prints', async t => {
  t.ok(readme.includes(settingsMarkdown()), 'settings (podfence config --markdown)')
  t.ok(readme.includes(metricsMarkdown()), 'metrics (podfence config --metrics-markdown)')
})

t.test('every dependency has its reason in the README, and an exact version', async t => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    t.ok(readme.includes(`\`${name}\``), name)
    t.match(version, /^\d+\.\d+\.\d+$/, `${name} is pinned`)
  }
})
