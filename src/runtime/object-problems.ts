import type { KubernetesProblem } from '../model/kubernetes/problem.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'

/** Tells of each problem of a Kubernetes object once, however long it stays. */
export class ObjectProblems {
  readonly #log: Logger
  readonly #metrics: Pick<Metrics, 'rejections_total'>
  readonly #told = new WeakSet<KubernetesProblem>()

  constructor(log: Logger, metrics: Pick<Metrics, 'rejections_total'>) {
    this.#log = log
    this.#metrics = metrics
  }

  tell(problems: Iterable<KubernetesProblem>): void {
    for (const problem of problems) {
      if (this.#told.has(problem)) continue
      this.#told.add(problem)
      this.#metrics.rejections_total.inc()
      const { effect, ...about } = problem
      this.#log.warn({ component: 'model', ...about }, `a Kubernetes object has a problem: ${effect}`)
    }
  }
}
