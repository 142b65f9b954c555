/** xt_limit keeps a rate as a whole number of ten-thousandths of a second between packets. */
const SCALE = 10_000

/**
 * `N/sec` as iptables-save prints it after the kernel has rounded it: 300 comes back as 303. What comes
 * back is what is written, so that our text and the kernel's agree. Rates beyond 1..10000 are clamped.
 */
export function rateText(perSecond: number): string {
  const wanted = Number.isFinite(perSecond) ? Math.min(SCALE, Math.max(1, Math.floor(perSecond))) : 1
  return `${Math.floor(SCALE / Math.floor(SCALE / wanted))}/sec`
}
