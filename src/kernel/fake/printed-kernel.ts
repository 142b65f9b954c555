import { FAMILIES } from '../../model/values.ts'
import type { KernelDelta } from '../../render/kernel-delta.ts'
import { ipsetText, restoreText } from '../../render/print.ts'
import { FakeKernel } from './kernel.ts'

/** A fake kernel that gets exactly the text that is printed for people: sets, chains, then the sets that go. */
export class PrintedKernel {
  readonly fake = new FakeKernel()
  #hooked = false

  /** Throws what the kernel refuses. */
  apply({ sets, chains }: KernelDelta): void {
    const lines = ipsetText(sets)
      .split('\n')
      .filter(line => line !== '')
    const [going, others] = [true, false].map(goes =>
      lines.filter(line => line.startsWith('destroy') === goes),
    )
    for (const line of others!) expectDone(this.fake.ipset(line), line)
    for (const family of FAMILIES) {
      const text = restoreText(chains, family, { hooks: !this.#hooked })
      expectDone(this.fake.restore(family, text), text)
    }
    this.#hooked = true
    for (const line of going!) expectDone(this.fake.ipset(line), line)
  }
}

function expectDone(
  { exit, stderr }: { readonly exit: number; readonly stderr: string },
  text: string,
): void {
  if (exit !== 0) throw new Error(`${stderr}\n${text}`)
}
