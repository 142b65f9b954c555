import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'

const ROOT = join(import.meta.dirname, '../../..')

/**
 * Writes a TypeScript program and all that it imports as JavaScript below `directory`, and returns the
 * program's path there. A test that starts one program many times saves each of them the compiler.
 */
export function transpile(program: string, directory: string): string {
  const todo = [program]
  const done = new Set<string>()
  for (let file = todo.pop(); file !== undefined; file = todo.pop()) {
    if (done.has(file)) continue
    done.add(file)
    const source = readFileSync(file, 'utf8')
    const target = join(directory, relative(ROOT, file)).replace(/\.ts$/, '.js')
    mkdirSync(dirname(target), { recursive: true })
    const module = ts.transpileModule(source, {
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
      },
    })
    writeFileSync(target, module.outputText.replaceAll(/(from '\.[^']+)\.ts'/g, "$1.js'"))
    for (const [, name] of source.matchAll(/^(?:import|\}) (?!type ).*?from '(\.[^']+)'/gm))
      todo.push(join(dirname(file), name!))
  }
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  return join(directory, relative(ROOT, program)).replace(/\.ts$/, '.js')
}
