import type { Stage } from '../../../src/lab/stage.ts'

/** Ends the agents and starts them again, with nothing but the kernel's rules and the store left. */
export async function restartAgents(
  stage: Stage,
  nodes = stage.lab.nodes.map(({ name }) => name),
): Promise<void> {
  await Promise.all(nodes.map(name => stage.agents.get(name)!.stop()))
  for (const name of nodes) stage.startAgent(name)
  await stage.enforced()
}
