export interface TranslationOptions {
  /** Whether annotations of pods are policy. */
  readonly annotationPolicy: boolean
  /** What a pod without an annotation accepts under annotation policy: its own namespace, or everything. */
  readonly defaultPolicy: 'isolate' | 'allow'
  /** Where a NetworkPolicy isolates an annotated pod: both must allow, or either. */
  readonly annotationCombine: 'narrow' | 'add'
  /** One profile for all pods that it suits, or one for each pod with the tags of the documents. */
  readonly profiles: 'shared' | 'per-pod'
  /** The node whose pods are attached; absent: attachments hold wherever the pod is. */
  readonly node?: string
}
