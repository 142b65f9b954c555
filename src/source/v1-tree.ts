/** Calico's v1 tree: everything of the model is under this. */
export const ROOT = '/calico/v1/'
export const READY_KEY = `${ROOT}Ready`

/** Whether the value of the Ready key (null when absent) says that the store is complete. */
export function isReady(value: string | null | undefined): boolean {
  return value === 'true'
}
