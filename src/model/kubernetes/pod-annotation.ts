import { type AnnotationRule, parseAnnotation } from '../annotation.ts'
import { AnnotationError, type AnnotationSide } from '../annotation-side.ts'
import { formatCidr } from '../cidr.ts'
import { portToJson } from '../port.ts'
import { allOf, quoted } from './label-selector.ts'
import { namespaceTerm } from './network-policy.ts'
import type { RuleJson } from './policy-rules.ts'
import { podLabel } from './reserved-label.ts'

/** An annotation as inbound rules, or why it is refused. */
export type AnnotationReading =
  | { readonly rules: readonly RuleJson[] }
  | { readonly column: number; readonly message: string }

/**
 * The inbound rules of an annotation of a pod in `namespace`. A label means pods of that namespace, by a selector and
 * not by the documented tag, since two labels may escape to one tag.
 */
export function readAnnotation(text: string, namespace: string): AnnotationReading {
  try {
    return { rules: parseAnnotation(text).rules.map(rule => ruleJson(rule, namespace)) }
  } catch (error) {
    if (error instanceof AnnotationError) return { column: error.column, message: error.message }
    throw error
  }
}

function ruleJson(rule: AnnotationRule, namespace: string): RuleJson {
  return {
    action: 'allow',
    ...(rule.protocol === undefined ? {} : { protocol: rule.protocol }),
    ...(rule.icmpType === undefined ? {} : { icmp_type: rule.icmpType }),
    ...(rule.icmpCode === undefined ? {} : { icmp_code: rule.icmpCode }),
    ...sideJson('src', rule.from, namespace),
    ...sideJson('dst', rule.to, namespace),
  }
}

function sideJson(prefix: 'src' | 'dst', { label, cidr, ports }: AnnotationSide, namespace: string): object {
  const terms = label && [namespaceTerm(namespace), `${podLabel(label.key)} == ${quoted(label.value)}`]
  return {
    ...(terms && { [`${prefix}_selector`]: allOf(terms) }),
    ...(cidr && { [`${prefix}_net`]: formatCidr(cidr) }),
    ...(ports && { [`${prefix}_ports`]: ports.map(portToJson) }),
  }
}
