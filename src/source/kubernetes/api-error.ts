import { PodfenceError } from '../../errors.ts'

/** A request that the API server did not answer (status 0) or answered with a failure. */
export class ApiError extends PodfenceError {
  readonly status: number
  /** Kubernetes' word for it, such as NotFound, Conflict, AlreadyExists, Expired; empty when there is none. */
  readonly reason: string

  constructor(
    status: number,
    reason: string,
    sentence: string,
    options: { cause?: unknown; next?: string } = {},
  ) {
    super(status === 401 || status === 403 ? 'STORE_DENIED' : 'STORE_UNREACHABLE', sentence, options)
    this.status = status
    this.reason = reason
  }
}

const NEXT_DENIED: Readonly<Record<number, string>> = {
  401: 'The token or client certificate is not accepted; see the settings kubeconfig and k8sAuthTokenFile.',
  403: "Grant the rights of this part's manifest (ClusterRole and ClusterRoleBinding).",
}
const NEXT_UNTRUSTED = "Name the CA that signed the API server's certificate: k8sCa, or the kubeconfig's."
const UNTRUSTED = /CERT|UNABLE_TO_VERIFY|ALTNAME/

/** From a failure's status line and body, a Status object where Kubernetes itself answered. */
export function answeredError(api: string, status: number, body: string): ApiError {
  const { reason, message } = statusOf(body)
  const words = message || body.replaceAll(/\s+/g, ' ').trim().slice(0, 200)
  const sentence = `Kubernetes API at ${api}: ${status}${reason && ` ${reason}`}${words && `: ${words}`}`
  const next = NEXT_DENIED[status]
  return new ApiError(status, reason, sentence, next ? { next } : {})
}

/** From what Node threw while a request was under way. */
export function unansweredError(api: string, error: unknown): PodfenceError {
  if (error instanceof PodfenceError) return error
  const { code = '', message } = plainest(error)
  const next = UNTRUSTED.test(code) ? NEXT_UNTRUSTED : undefined
  const sentence = `Kubernetes API at ${api}: ${message || code}`
  return new ApiError(0, '', sentence, { cause: error, ...(next ? { next } : {}) })
}

/** Of several addresses tried, the first one's failure stands for all. */
function plainest(error: unknown): { code?: string; message: string } {
  if (error instanceof AggregateError && error.errors.length > 0) return plainest(error.errors[0])
  return error instanceof Error ? error : { message: String(error) }
}

function statusOf(body: string): { reason: string; message: string } {
  try {
    const { kind, reason, message } = JSON.parse(body)
    if (kind === 'Status') return { reason: String(reason ?? ''), message: String(message ?? '') }
  } catch {
    // Not from Kubernetes, but from something in front of it.
  }
  return { reason: '', message: '' }
}
