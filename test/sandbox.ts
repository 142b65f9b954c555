import { spawnSync } from 'node:child_process'

/**
 * Makes this test file run where nothing of the machine can be touched: its own network, mount and pid
 * namespaces, a private /run (xtables lock, `ip netns`), loopback up. Call it first, before any test:
 *
 *     const inside = enterSandbox()
 *     t.test('...', { skip: inside.skip }, ...)
 *
 * Outside it runs the file again inside, passes that run's output on and never returns. Everything that
 * the file starts dies with it. Returns `skip`: the reason why there is no sandbox, or false.
 */
export function enterSandbox(): { readonly skip: string | false } {
  if (process.env.PODFENCE_SANDBOX === '1') return { skip: false }
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return { skip: 'needs root on Linux' }
  const unshare = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  if (spawnSync(unshare[0]!, [...unshare.slice(1), 'true']).status !== 0)
    return { skip: 'needs the right to create namespaces (unshare)' }
  const setUp = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  // pdeathsig: when this process is killed by a test runner's time limit, nothing stays behind.
  const run = spawnSync(
    'setpriv',
    ['--pdeathsig', 'KILL', ...unshare, 'bash', '-c', setUp, 'bash', ...again],
    {
      stdio: 'inherit',
      env: { ...process.env, PODFENCE_SANDBOX: '1' },
    },
  )
  process.exit(run.status ?? 1)
}
