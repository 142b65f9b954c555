import type { Health, Probe } from './health.ts'
import { json, type Routes } from './http.ts'
import type { MetricsPage } from './metrics.ts'

/** /liveness and /readiness with their Kubernetes aliases: 200 or 503, and JSON that names the unhealthy part. */
export function healthRoutes(health: Health): Routes {
  const probe = (name: Probe) => () => {
    const report = health.answer(name)
    return json(report, report.healthy ? 200 : 503)
  }
  return {
    'GET /liveness': probe('liveness'),
    'GET /healthz': probe('liveness'),
    'GET /readiness': probe('readiness'),
    'GET /readyz': probe('readiness'),
  }
}

export function metricsRoutes(page: Pick<MetricsPage, 'contentType' | 'text'>): Routes {
  return {
    'GET /metrics': async () => ({ status: 200, type: page.contentType, body: await page.text() }),
  }
}
