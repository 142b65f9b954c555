#!/usr/bin/env node
import { runPlugin } from './plugin.ts'

let text = ''
process.stdin.setEncoding('utf8')
for await (const piece of process.stdin) text += piece
const { stdout, exitCode } = await runPlugin(process.env, text, line => process.stderr.write(line))
process.stdout.write(stdout)
process.exitCode = exitCode
