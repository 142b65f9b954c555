import { type Answer, type Handler, json, type Routes } from '../http.ts'
import type { CniDesk } from './desk.ts'
import { CniFailure } from './failure.ts'
import { delRequestOf, gcRequestOf, podRequestOf } from './request.ts'

/** A failure as the socket carries it, and as the CNI specification prints it but for the version. */
export interface CniErrorBody {
  readonly code: number
  readonly msg: string
  readonly details: string
}

/** What the CNI plugin asks at its socket: 200 and JSON, or 422 and a CniErrorBody. */
export function cniRoutes(desk: CniDesk): Routes {
  return {
    'GET /node': answered(() => desk.node()),
    'POST /add': answered(body => desk.add(podRequestOf(body))),
    'POST /check': answered(body => desk.check(podRequestOf(body))),
    'POST /del': answered(body => desk.del(delRequestOf(body))),
    'POST /gc': answered(body => desk.gc(gcRequestOf(body))),
    'GET /status': answered(() => desk.status()),
  }
}

function answered(work: (body: string) => unknown): Handler {
  return async (body): Promise<Answer> => {
    try {
      return json((await work(body)) ?? {})
    } catch (error) {
      if (!(error instanceof CniFailure)) throw error
      const { code, message, details } = error
      return json({ code, msg: message, details } satisfies CniErrorBody, 422)
    }
  }
}
