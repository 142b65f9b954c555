import { type AnnotationRule, type AnnotationRuleJson, parseAnnotation, ruleToJson } from '../annotation.ts'
import { AnnotationError, type Note } from '../annotation-side.ts'
import { inNamespace, podLabel } from './reserved-label.ts'

type InboundRule = Omit<AnnotationRuleJson, 'src_tag' | 'dst_tag'> & {
  src_selector?: string
  dst_selector?: string
}

/** A label means pods of the own namespace. Two labels may escape to one tag, so a selector names it exactly. */
function ruleOf(rule: AnnotationRule, namespace: string): InboundRule {
  const { src_tag, dst_tag, ...json } = ruleToJson(rule, namespace)
  const inbound: InboundRule = json
  for (const [field, side] of [
    ['src_selector', rule.from],
    ['dst_selector', rule.to],
  ] as const)
    if (side.label !== undefined)
      inbound[field] = `${inNamespace(namespace)} && ${podLabel(side.label.key)} == '${side.label.value}'`
  return inbound
}

/** An annotation of a pod of `namespace` to the inbound rules of its profile, or what is wrong with it and where. */
export function annotationRules(
  text: string,
  namespace: string,
): { readonly rules: readonly object[]; readonly error: Note | null } {
  try {
    return { rules: parseAnnotation(text).rules.map(rule => ruleOf(rule, namespace)), error: null }
  } catch (error) {
    if (!(error instanceof AnnotationError)) throw error
    // Nothing comes in under an annotation that cannot be read.
    return { rules: [], error: { column: error.column, message: error.message } }
  }
}
