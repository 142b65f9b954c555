/** A Debian tree with systemd, and two builds of one package: `.ci/systemd` makes them. */
export const {
  PODFENCE_TREE: pristine = '',
  PODFENCE_PACKAGE: first = '',
  PODFENCE_NEXT_PACKAGE: next = '',
} = process.env
export const skip =
  pristine && first && next ? false : 'needs the tree and the packages that .ci/systemd makes'
